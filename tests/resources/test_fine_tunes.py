from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cartesia_sync import Cartesia, NotFoundError
from cartesia_sync.types import FineTune, Voice

from ..support.rest_service import REFUSED, Service

GIVEN: Any = {"dataset": "d", "description": "x", "language": "en", "model_id": "sonic-3-2026-01-12", "name": "n"}
REQUESTS: list[tuple[Callable[[Cartesia], object], str, Any]] = [
    (lambda client: client.fine_tunes.create(**GIVEN), "POST /fine-tunes/", GIVEN),
    (lambda client: client.fine_tunes.create(**GIVEN, accent=None), "POST /fine-tunes/", {**GIVEN, "accent": None}),
    (lambda client: client.fine_tunes.retrieve("f"), "GET /fine-tunes/f", None),
    (lambda client: client.fine_tunes.list(limit=None, starting_after="x"), "GET /fine-tunes/?starting_after=x", None),
    (lambda client: client.fine_tunes.delete("f"), "DELETE /fine-tunes/f", None),
    (lambda client: client.fine_tunes.list_voices("f", limit=3), "GET /fine-tunes/f/voices?limit=3", None),
]


@pytest.mark.parametrize(("ask", "line", "sent"), REQUESTS)
def test_what_goes_out(
    service: Service, client: Cartesia, ask: Callable[[Cartesia], object], line: str, sent: Any
) -> None:
    ask(client)
    assert (service.last.line, service.last.sent) == (line, sent)


def test_a_fine_tune_comes_back_typed(service: Service, client: Cartesia) -> None:
    service.will_answer({"id": "f", **GIVEN, "status": "training", "progress": 0.5})
    for found in (client.fine_tunes.create(**GIVEN), client.fine_tunes.retrieve("f")):
        assert isinstance(found, FineTune)
        assert (found.llm_model_id, found.status, found.accent) == ("sonic-3-2026-01-12", "training", None)
        assert found.extra == {"progress": 0.5}
        assert found.to_dict()["model_id"] == "sonic-3-2026-01-12"


def test_all_pages_are_gone_through(service: Service, client: Cartesia) -> None:
    service.will_answer({"data": [{"id": "a"}]}, {"data": [{"id": "b"}]}, {"data": []})
    assert [each.id for each in client.fine_tunes.list()] == ["a", "b"]
    service.will_answer({"data": [{"id": "v", "name": "Ada"}]}, {"data": []})
    (voice,) = client.fine_tunes.list_voices("f")
    assert isinstance(voice, Voice)
    assert service.last.line == "GET /fine-tunes/f/voices?starting_after=v"


def test_what_is_wrong_is_refused_here_or_there(service: Service, client: Cartesia) -> None:
    with pytest.raises(ValueError, match="id: expected an id"):
        client.fine_tunes.list_voices("")
    with pytest.raises(TypeError, match="dataset"):
        client.fine_tunes.create(name="n")  # type: ignore[call-arg]  # nothing else
    assert service.asked == []
    service.will_answer(REFUSED)
    with pytest.raises(NotFoundError):
        client.fine_tunes.delete("f")
