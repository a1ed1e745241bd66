"""Fine-tunes, which are kept and never trained."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from cartesia_sync.local import LocalServer

Ask = Callable[..., Any]


def test_a_fine_tune_stays_created(ask: Ask) -> None:
    with LocalServer() as server:
        dataset = ask(server, "POST", "/datasets/", json={"name": "n", "description": ""}).json()["id"]
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
        dataset = ask(server, "POST", "/datasets/", json={"name": "n", "description": ""}).json()["id"]
        body = {"name": "n", "description": "d", "language": "en", "model_id": "sonic-3", "dataset": dataset}
        body[missing] = "nobody" if missing == "dataset" else ""
        assert ask(server, "POST", "/fine-tunes/", json=body).status_code == status
