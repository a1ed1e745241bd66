from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cartesia_sync import Cartesia, NotFoundError
from cartesia_sync.types import PronunciationDict, PronunciationDictItemParam

from ..support.rest_service import REFUSED, Service

DICT = {
    "id": "d1",
    "name": "n",
    "owner_id": "o",
    "pinned": False,
    "items": [{"text": "Cartesia", "alias": "car tee zha", "case_sensitive": True}, {"text": "a", "alias": "b"}],
    "created_at": "2026-08-14T10:00:00Z",
}
ITEM: PronunciationDictItemParam = {"text": "a", "alias": "b", "case_sensitive": False}
REQUESTS: list[tuple[Callable[[Cartesia], object], str, Any]] = [
    (lambda client: client.pronunciation_dicts.create(name="n"), "POST /pronunciation-dicts/", {"name": "n"}),
    (
        lambda client: client.pronunciation_dicts.create(name="n", items=[ITEM]),
        "POST /pronunciation-dicts/",
        {"name": "n", "items": [ITEM]},
    ),
    (
        lambda client: client.pronunciation_dicts.create(name="n", items=(each for each in [ITEM])),
        "POST /pronunciation-dicts/",
        {"name": "n", "items": [ITEM]},
    ),
    (
        lambda client: client.pronunciation_dicts.create(name="n", items=None),
        "POST /pronunciation-dicts/",
        {"name": "n", "items": None},
    ),
    (lambda client: client.pronunciation_dicts.retrieve("d"), "GET /pronunciation-dicts/d", None),
    (lambda client: client.pronunciation_dicts.update("d"), "PATCH /pronunciation-dicts/d", {}),
    (
        lambda client: client.pronunciation_dicts.update("d", items=[], name=None),
        "PATCH /pronunciation-dicts/d",
        {"items": [], "name": None},
    ),
    (
        lambda client: client.pronunciation_dicts.list(limit=1, starting_after="x"),
        "GET /pronunciation-dicts/?limit=1&starting_after=x",
        None,
    ),
    (lambda client: client.pronunciation_dicts.delete("d"), "DELETE /pronunciation-dicts/d", None),
]


@pytest.mark.parametrize(("ask", "line", "sent"), REQUESTS)
def test_what_goes_out(
    service: Service, client: Cartesia, ask: Callable[[Cartesia], object], line: str, sent: Any
) -> None:
    ask(client)
    assert (service.last.line, service.last.sent) == (line, sent)


def test_a_dictionary_comes_back_typed(service: Service, client: Cartesia) -> None:
    service.will_answer({**DICT, "shared": True})
    for found in (
        client.pronunciation_dicts.create(name="n"),
        client.pronunciation_dicts.retrieve("d1"),
        client.pronunciation_dicts.update("d1", name="n"),
    ):
        assert isinstance(found, PronunciationDict)
        assert [(item.text, item.alias, item.case_sensitive) for item in found.items] == [
            ("Cartesia", "car tee zha", True),
            ("a", "b", None),
        ]
        assert found.created_at == "2026-08-14T10:00:00Z"  # a text in the official client too
        assert found.extra == {"shared": True}


def test_all_pages_are_gone_through(service: Service, client: Cartesia) -> None:
    service.will_answer({"data": [DICT, {**DICT, "id": "d2"}]}, {"data": []})
    assert [each.id for each in client.pronunciation_dicts.list()] == ["d1", "d2"]
    assert service.last.line == "GET /pronunciation-dicts/?starting_after=d2"


def test_wrong_ids_are_refused_here_and_unknown_ones_there(service: Service, client: Cartesia) -> None:
    with pytest.raises(ValueError, match="id: expected an id"):
        client.pronunciation_dicts.retrieve("")
    assert service.asked == []
    service.will_answer(REFUSED)
    with pytest.raises(NotFoundError):
        client.pronunciation_dicts.delete("d")
