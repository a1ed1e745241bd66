"""Datasets and fine-tunes, which are kept and never trained."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from cartesia_sync.local import LocalServer

Ask = Callable[..., Any]


def test_a_dataset_lives_and_is_changed_and_dies(ask: Ask) -> None:
    with LocalServer() as server:
        made = ask(server, "POST", "/datasets/", json={"name": "n", "description": "d"}).json()
        assert set(made) == {"id", "name", "description", "created_at"}
        path = f"/datasets/{made['id']}"
        changed = ask(server, "PATCH", path, json={"name": "m", "description": "e"})
        assert (changed.status_code, changed.content) == (204, b"")
        assert ask(server, "GET", path).json() == {**made, "name": "m", "description": "e"}
        assert [one["id"] for one in ask(server, "GET", "/datasets").json()["data"]] == [made["id"]]
        assert ask(server, "DELETE", path).status_code == 204
        for rest in ("", "/files"):
            assert ask(server, "GET", path + rest).status_code == 404


def test_a_datasets_files_are_counted_not_kept(ask: Ask) -> None:
    with LocalServer() as server:
        path = f"/datasets/{ask(server, 'POST', '/datasets/', json={'name': 'n'}).json()['id']}/files"
        sent = {"files": {"file": ("a.wav", b"12345")}, "data": {"purpose": "fine_tune"}}
        assert ask(server, "POST", path, **sent).status_code == 204
        (file,) = ask(server, "GET", path).json()["data"]
        assert set(file) == {"id", "filename", "size", "created_at"}
        assert (file["filename"], file["size"]) == ("a.wav", 5)
        assert ask(server, "POST", path, files={"purpose": (None, "x")}).status_code == 400
        assert ask(server, "DELETE", f"{path}/{file['id']}").status_code == 204
        assert ask(server, "GET", path).json()["data"] == []
        assert ask(server, "DELETE", f"{path}/{file['id']}").status_code == 404


def test_a_fine_tune_stays_created(ask: Ask) -> None:
    with LocalServer() as server:
        dataset = ask(server, "POST", "/datasets/", json={"name": "n"}).json()["id"]
        body = {"name": "n", "description": "d", "language": "en", "model_id": "sonic-3", "dataset": dataset}
        made = ask(server, "POST", "/fine-tunes/", json=body).json()
        assert made == {"id": made["id"], **body, "status": "created"}
        path = f"/fine-tunes/{made['id']}"
        assert ask(server, "GET", path).json() == made
        assert ask(server, "GET", "/fine-tunes/").json()["data"] == [made]
        assert ask(server, "GET", f"{path}/voices").json() == {"data": [], "has_more": False, "next_page": None}
        assert ask(server, "DELETE", path).status_code == 204
        for rest in ("", "/voices"):
            assert ask(server, "GET", path + rest).status_code == 404


@pytest.mark.parametrize(("missing", "status"), [("name", 400), ("model_id", 400), ("dataset", 404)])
def test_a_fine_tune_that_cannot_be_is_refused(ask: Ask, missing: str, status: int) -> None:
    with LocalServer() as server:
        dataset = ask(server, "POST", "/datasets/", json={"name": "n"}).json()["id"]
        body = {"name": "n", "description": "d", "language": "en", "model_id": "sonic-3", "dataset": dataset}
        body[missing] = "nobody" if missing == "dataset" else ""
        assert ask(server, "POST", "/fine-tunes/", json=body).status_code == status
