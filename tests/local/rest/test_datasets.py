"""Datasets, which are kept in memory."""

from __future__ import annotations

from typing import Any, Callable

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
        path = (
            f"/datasets/{ask(server, 'POST', '/datasets/', json={'name': 'n', 'description': ''}).json()['id']}/files"
        )
        sent = {"files": {"file": ("a.wav", b"12345")}, "data": {"purpose": "fine_tune"}}
        assert ask(server, "POST", path, **sent).status_code == 204
        (file,) = ask(server, "GET", path).json()["data"]
        assert set(file) == {"id", "filename", "size", "created_at"}
        assert (file["filename"], file["size"]) == ("a.wav", 5)
        assert ask(server, "POST", path, files={"purpose": (None, "x")}).status_code == 400
        assert ask(server, "DELETE", f"{path}/{file['id']}").status_code == 204
        assert ask(server, "GET", path).json()["data"] == []
        assert ask(server, "DELETE", f"{path}/{file['id']}").status_code == 404


def test_name_and_description_are_required_by_both(ask: Ask) -> None:
    with LocalServer() as server:
        path = f"/datasets/{ask(server, 'POST', '/datasets/', json={'name': 'n', 'description': ''}).json()['id']}"
        for body in ({}, {"name": "n"}, {"description": "d"}, {"name": "", "description": "d"}):
            assert ask(server, "POST", "/datasets/", json=body).status_code == 400
            assert ask(server, "PATCH", path, json=body).status_code == 400
