from __future__ import annotations

import io
import wave
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartesia_sync import APIResponseValidationError, Cartesia, NotFoundError
from cartesia_sync.types import (
    AgentCall,
    AgentListPhoneNumbersResponseItem,
    AgentSummary,
    Deployment,
    GitRepository,
    PhoneNumber,
    Template,
)

from ..support.rest_service import REFUSED, Answer, Service

WHEN = "2026-08-14T10:00:00Z"
THEN = datetime(2026, 8, 14, 10, tzinfo=timezone.utc)
CALLS: list[tuple[Callable[[Cartesia], object], str, Any]] = [
    (lambda client: client.agents.list(), "GET /agents", None),
    (lambda client: client.agents.retrieve("a"), "GET /agents/a", None),
    (lambda client: client.agents.update("a"), "PATCH /agents/a", {}),
    (
        lambda client: client.agents.update("a", name="n", description=None, tts_language="en", tts_voice="v"),
        "PATCH /agents/a",
        {"name": "n", "description": None, "tts_language": "en", "tts_voice": "v"},
    ),
    (lambda client: client.agents.delete("a"), "DELETE /agents/a", None),
    (lambda client: client.agents.list_templates(), "GET /agents/templates", None),
    (lambda client: client.agents.calls.retrieve("c"), "GET /agents/calls/c", None),
    (lambda client: client.agents.calls.list(agent_id="a"), "GET /agents/calls?agent_id=a", None),
    (
        lambda client: client.agents.calls.list(agent_id="a", expand="transcript", limit=1, ending_before="x"),
        "GET /agents/calls?agent_id=a&ending_before=x&expand=transcript&limit=1",
        None,
    ),
    (lambda client: client.agents.deployments.retrieve("d"), "GET /agents/deployments/d", None),
]


@pytest.mark.parametrize(("call", "line", "sent"), CALLS)
def test_what_goes_out(
    service: Service, client: Cartesia, call: Callable[[Cartesia], object], line: str, sent: Any
) -> None:
    call(client)
    assert (service.last.line, service.last.sent) == (line, sent)


def test_agents_come_back_typed(service: Service, client: Cartesia) -> None:
    agent = {
        "id": "a",
        "name": "n",
        "created_at": WHEN,
        "updated_at": WHEN,
        "deployment_count": 2,
        "git_repository": {"account": "x", "name": "y", "provider": "GitHub"},
        "phone_numbers": [{"id": "p", "number": "+1"}],
        "plan": "pro",
    }
    service.will_answer(agent)
    for found in (client.agents.retrieve("a"), client.agents.update("a", name="n")):
        assert isinstance(found, AgentSummary)
        assert (found.created_at, found.deleted_at) == (THEN, None)
        assert found.git_repository == GitRepository(account="x", name="y", provider="GitHub")
        assert found.phone_numbers == [PhoneNumber(id="p", number="+1")]
        assert found.extra == {"plan": "pro"}
    service.will_answer({"summaries": [agent], "count": 1})
    answer = client.agents.list()
    assert [each.id for each in answer.summaries] == ["a"]
    assert answer.extra == {"count": 1}


def test_templates_and_numbers_come_back_typed(service: Service, client: Cartesia) -> None:
    service.will_answer({"templates": [{"id": "t", "created_at": WHEN, "dependencies": ["x"]}]})
    (template,) = client.agents.list_templates().templates
    assert isinstance(template, Template)
    assert (template.created_at, template.dependencies) == (THEN, ["x"])
    service.will_answer([{"agent_id": "a", "number": "+1", "is_cartesia_managed": True, "updated_at": WHEN}])
    (number,) = client.agents.list_phone_numbers("a")
    assert isinstance(number, AgentListPhoneNumbersResponseItem)
    assert (number.number, number.updated_at) == ("+1", THEN)
    assert service.last.line == "GET /agents/a/phone-numbers"


def test_a_call_comes_back_typed_to_its_last_word(service: Service, client: Cartesia) -> None:
    turn = {
        "role": "assistant",
        "start_timestamp": 1,
        "end_timestamp": 2.5,
        "text": "Hello.",
        "text_chunks": [{"text": "Hello.", "start_timestamp": 1.25}],
        "tool_calls": [{"id": "x", "name": "look_up", "arguments": {"a": "b"}}],
        "log_event": {"event": "e", "metadata": {"k": "v"}, "timestamp": 1.5},
        "log_metric": {"name": "m", "value": 2, "timestamp": 1.5},
        "vad_buffer_ms": 300,
    }
    call = {
        "id": "c",
        "agent_id": "a",
        "status": "completed",
        "start_time": WHEN,
        "telephony_params": {"from": "+1", "to": "+2", "call_sid": "s"},
        "transcript": [turn],
    }
    service.will_answer(call)
    found = client.agents.calls.retrieve("c")
    assert isinstance(found, AgentCall)
    assert (found.start_time, found.end_time) == (THEN, None)
    assert found.telephony_params is not None
    assert (found.telephony_params.from_, found.telephony_params.to) == ("+1", "+2")
    assert found.telephony_params.extra == {"call_sid": "s"}
    assert found.transcript is not None
    (said,) = found.transcript
    assert said.text_chunks is not None
    assert said.text_chunks[0].start_timestamp == 1.25
    assert said.tool_calls is not None
    assert said.tool_calls[0].arguments == {"a": "b"}
    assert said.log_event is not None
    assert said.log_event.metadata == {"k": "v"}
    assert said.log_metric is not None
    assert said.log_metric.value == 2.0
    assert found.to_dict()["telephony_params"] == {"from": "+1", "to": "+2", "call_sid": "s"}


def test_all_pages_of_calls_are_gone_through(service: Service, client: Cartesia) -> None:
    service.will_answer(
        {"data": [{"id": "c1"}, {"id": "c2"}], "has_more": True}, {"data": [{"id": "c3"}]}, {"data": []}
    )
    assert [call.id for call in client.agents.calls.list(agent_id="a")] == ["c1", "c2", "c3"]
    assert service.last.line == "GET /agents/calls?agent_id=a&starting_after=c3"


def test_a_calls_audio_is_read_as_it_arrives(service: Service, client: Cartesia, tmp_path: Path) -> None:
    """The official client gives None."""
    samples = np.array([0, 16384, -16384], "<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(samples.tobytes())
    service.will_answer(Answer(file.getvalue(), "audio/wav"))
    with client.agents.calls.download_audio("c") as audio:
        audio.write_to_file(tmp_path / "call.wav")
    assert (tmp_path / "call.wav").read_bytes() == file.getvalue()
    with client.agents.calls.download_audio("c") as audio:
        np.testing.assert_allclose(audio.samples(), samples / 32768)
    assert (service.last.line, service.last.headers["accept"]) == ("GET /agents/calls/c/audio", "*/*")


def test_deployments_come_back_typed(service: Service, client: Cartesia) -> None:
    deployment = {"id": "d", "agent_id": "a", "is_live": True, "build_started_at": WHEN, "region": "eu"}
    service.will_answer(deployment)
    found = client.agents.deployments.retrieve("d")
    service.will_answer([deployment])
    assert client.agents.deployments.list("a") == [found]
    assert service.last.line == "GET /agents/a/deployments"
    assert isinstance(found, Deployment)
    assert (found.is_live, found.build_started_at, found.build_error) == (True, THEN, None)
    assert found.extra == {"region": "eu"}


def test_a_list_that_is_none_is_an_error(service: Service, client: Cartesia) -> None:
    service.will_answer({"deployments": []})
    with pytest.raises(APIResponseValidationError, match="array"):
        client.agents.deployments.list("a")


def test_what_is_wrong_is_refused_here_or_there(service: Service, client: Cartesia) -> None:
    for call in (
        lambda: client.agents.retrieve(""),
        lambda: client.agents.update(""),
        lambda: client.agents.delete(""),
        lambda: client.agents.list_phone_numbers(""),
        lambda: client.agents.calls.retrieve(""),
        lambda: client.agents.calls.download_audio(""),
        lambda: client.agents.deployments.retrieve(""),
        lambda: client.agents.deployments.list(""),
    ):
        with pytest.raises(ValueError, match="_id: expected an id"):
            call()
    assert service.asked == []
    service.will_answer(REFUSED)
    with pytest.raises(NotFoundError):
        client.agents.calls.download_audio("c")


def test_what_lies_below_is_one_resource_each() -> None:
    agents = Cartesia(api_key="k").agents
    assert agents.calls is agents.calls
    assert agents.deployments is agents.deployments
    assert agents.metrics.results is agents.metrics.results
