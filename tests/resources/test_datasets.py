from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import Cartesia, NotFoundError
from cartesia_sync.types import Dataset, FileListResponse

from ..support.rest_service import REFUSED, Answer, Part, Service

REQUESTS: list[tuple[Callable[[Cartesia], object], str, Any]] = [
    (
        lambda client: client.datasets.create(name="n", description="d"),
        "POST /datasets/",
        {"name": "n", "description": "d"},
    ),
    (lambda client: client.datasets.retrieve("d"), "GET /datasets/d", None),
    (
        lambda client: client.datasets.update("d", name="n", description=""),
        "PATCH /datasets/d",
        {"name": "n", "description": ""},
    ),
    (lambda client: client.datasets.list(ending_before="x"), "GET /datasets/?ending_before=x", None),
    (lambda client: client.datasets.delete("d"), "DELETE /datasets/d", None),
    (lambda client: client.datasets.files.list("d", limit=2), "GET /datasets/d/files?limit=2", None),
    (lambda client: client.datasets.files.delete("f", id="d"), "DELETE /datasets/d/files/f", None),
    (
        lambda client: client.datasets.files.upload("d", file=("a.wav", b"x", "audio/wav"), purpose="fine_tune"),
        "POST /datasets/d/files",
        {"purpose": "fine_tune", "file": Part("a.wav", b"x", "audio/wav")},
    ),
    (lambda client: client.datasets.files.upload("d"), "POST /datasets/d/files", {}),
]


@pytest.mark.parametrize(("ask", "line", "sent"), REQUESTS)
def test_what_goes_out(
    service: Service, client: Cartesia, ask: Callable[[Cartesia], object], line: str, sent: Any
) -> None:
    ask(client)
    assert (service.last.line, service.last.sent) == (line, sent)


def test_what_comes_back_is_typed(service: Service, client: Cartesia) -> None:
    service.will_answer({"id": "d", "name": "n", "description": "", "created_at": "2026-08-14T10:00:00Z", "size": 3})
    for found in (client.datasets.create(name="n", description=""), client.datasets.retrieve("d")):
        assert isinstance(found, Dataset)
        assert found.created_at == "2026-08-14T10:00:00Z"
        assert found.extra == {"size": 3}


def test_what_has_no_content_gives_none(service: Service, client: Cartesia) -> None:
    service.will_answer(Answer(b"", status=200))
    client.datasets.update("d", name="n", description="d")
    client.datasets.delete("d")
    client.datasets.files.upload("d", file=b"x")
    client.datasets.files.delete("f", id="d")
    assert [asked.headers["accept"] for asked in service.asked] == ["*/*"] * 4


def test_all_pages_are_gone_through(service: Service, client: Cartesia) -> None:
    service.will_answer({"data": [{"id": "a"}], "has_more": True}, {"data": [{"id": "b"}], "has_more": False})
    assert [each.id for each in client.datasets.list()] == ["a", "b"]
    assert [asked.line for asked in service.asked] == ["GET /datasets/", "GET /datasets/?starting_after=a"]
    file = {"id": "f1", "filename": "a.wav", "size": 3, "created_at": "x"}
    service.will_answer({"data": [file]}, {"data": []})
    (found,) = client.datasets.files.list("d")
    assert found == FileListResponse(id="f1", filename="a.wav", size=3, created_at="x")
    assert service.last.line == "GET /datasets/d/files?starting_after=f1"


def test_what_is_wrong_is_refused_here_or_there(service: Service, client: Cartesia, tmp_path: Path) -> None:
    for ask in (
        lambda: client.datasets.retrieve(""),
        lambda: client.datasets.files.list(""),
        lambda: client.datasets.files.delete("", id="d"),
        lambda: client.datasets.files.delete("f", id=""),
        lambda: client.datasets.files.upload(""),
    ):
        with pytest.raises(ValueError, match="id: expected an id"):
            ask()
    with pytest.raises(FileNotFoundError):
        client.datasets.files.upload("d", file=tmp_path / "none.wav")
    assert service.asked == []
    service.will_answer(REFUSED)
    with pytest.raises(NotFoundError):
        client.datasets.update("d", name="n", description="d")


def test_the_files_are_one_resource() -> None:
    datasets = Cartesia(api_key="k").datasets
    assert datasets.files is datasets.files
