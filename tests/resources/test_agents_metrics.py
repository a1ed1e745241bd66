from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from cartesia_sync import Cartesia, NotFoundError
from cartesia_sync.types import Metric, ResultListResponse

from ..support.rest_service import REFUSED, Answer, Service

THEN = datetime(2026, 8, 14, 10, tzinfo=timezone.utc)
CALLS: list[tuple[Callable[[Cartesia], object], str, Any]] = [
    (
        lambda client: client.agents.metrics.create(name="n", prompt="p", display_name=None),
        "POST /agents/metrics",
        {"name": "n", "prompt": "p", "display_name": None},
    ),
    (lambda client: client.agents.metrics.retrieve("m"), "GET /agents/metrics/m", None),
    (
        lambda client: client.agents.metrics.list(limit=1, starting_after="x"),
        "GET /agents/metrics?limit=1&starting_after=x",
        None,
    ),
    (lambda client: client.agents.metrics.add_to_agent("m", agent_id="a"), "POST /agents/a/metrics/m", None),
    (lambda client: client.agents.metrics.remove_from_agent("m", agent_id="a"), "DELETE /agents/a/metrics/m", None),
    (lambda client: client.agents.metrics.results.list(), "GET /agents/metrics/results", None),
    (
        lambda client: client.agents.metrics.results.list(start_date=THEN, end_date="2026-09-01", metric_id=None),
        "GET /agents/metrics/results?end_date=2026-09-01&start_date=2026-08-14T10%3A00%3A00%2B00%3A00",
        None,
    ),
    (
        lambda client: client.agents.metrics.results.export(
            agent_id="a", call_id="c", deployment_id="d", metric_id="m", start_date=THEN.replace(tzinfo=None)
        ),
        "GET /agents/metrics/results/export?agent_id=a&call_id=c&deployment_id=d&metric_id=m"
        "&start_date=2026-08-14T10%3A00%3A00",
        None,
    ),
]


@pytest.mark.parametrize(("call", "line", "sent"), CALLS)
def test_what_goes_out(
    service: Service, client: Cartesia, call: Callable[[Cartesia], object], line: str, sent: Any
) -> None:
    call(client)
    assert (service.last.line, service.last.sent) == (line, sent)


def test_metrics_come_back_typed(service: Service, client: Cartesia) -> None:
    metric = {"id": "m", "name": "n", "prompt": "p", "created_at": "2026-08-14T10:00:00Z", "weight": 2}
    service.will_answer(metric)
    for found in (client.agents.metrics.create(name="n", prompt="p"), client.agents.metrics.retrieve("m")):
        assert isinstance(found, Metric)
        assert (found.created_at, found.display_name, found.extra) == (THEN, None, {"weight": 2})
    service.will_answer({"data": [metric], "has_more": True, "next_page": "m"})
    some = client.agents.metrics.list()
    assert ([each.id for each in some.data], some.has_more, some.next_page) == (["m"], True, "m")


def test_results_come_back_typed_through_all_pages(service: Service, client: Cartesia) -> None:
    result = {
        "id": "r1",
        "metricId": "m",
        "agentId": "a",
        "createdAt": "2026-08-14T10:00:00Z",
        "jsonResult": {"deep": [1]},
        "value": 3,
        "transcript": [{"role": "user", "text": "Hello."}],
        "judgedBy": "x",
    }
    service.will_answer({"data": [result]}, {"data": [{**result, "id": "r2", "value": "good"}]}, {"data": []})
    first, second = client.agents.metrics.results.list(agent_id="a")
    assert service.last.line == "GET /agents/metrics/results?agent_id=a&starting_after=r2"
    assert isinstance(first, ResultListResponse)
    assert (first.metric_id, first.agent_id, first.created_at) == ("m", "a", THEN)
    assert (first.json_result, first.value, second.value) == ({"deep": [1]}, 3, "good")
    assert first.transcript is not None
    assert first.transcript[0].text == "Hello."
    assert first.extra == {"judgedBy": "x"}


def test_an_export_is_text(service: Service, client: Cartesia) -> None:
    service.will_answer(Answer("id,value\nr1,schön\n".encode(), "text/csv"))
    assert client.agents.metrics.results.export() == "id,value\nr1,schön\n"
    assert service.last.headers["accept"] == "text/csv"


def test_what_is_wrong_is_refused_here_or_there(service: Service, client: Cartesia) -> None:
    for call in (
        lambda: client.agents.metrics.retrieve(""),
        lambda: client.agents.metrics.add_to_agent("", agent_id="a"),
        lambda: client.agents.metrics.add_to_agent("m", agent_id=""),
        lambda: client.agents.metrics.remove_from_agent("m", agent_id=""),
    ):
        with pytest.raises(ValueError, match="_id: expected an id"):
            call()
    assert service.asked == []
    service.will_answer(REFUSED)
    with pytest.raises(NotFoundError):
        client.agents.metrics.retrieve("m")
