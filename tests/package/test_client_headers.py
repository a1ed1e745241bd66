"""What goes with each request, as the client shows it; and endpoints that have no method here."""

from __future__ import annotations

import copy
import pickle
import pprint
from typing import Any

import pytest

import cartesia_sync
from cartesia_sync import APIStatusError, Cartesia
from cartesia_sync.resources.pages import SyncCursorIDPage
from cartesia_sync.types import Voice

from ..support.http_service import Service, answer

KEY = "sk_car_a-very-secret-key"


@pytest.mark.parametrize(
    ("given", "credential"), [({"api_key": KEY}, KEY), ({"token": "t-1234567"}, "t-1234567"), ({}, KEY)]
)
def test_the_header_with_the_credential_can_be_had(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], credential: str
) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", KEY)
    headers = Cartesia(**given).auth_headers
    assert headers == {"authorization": f"Bearer {credential}"}
    assert headers["Authorization"] == f"Bearer {credential}"


def test_the_headers_are_those_that_go_out() -> None:
    own = {"X-Own": "own", "cartesia-version": "2027-01-01"}
    with (
        Service(answer(200, {})) as service,
        Cartesia(api_key=KEY, base_url=service.url, default_headers=own) as client,
    ):
        client.post("/x", body={})
        headers = client.default_headers
    (asked,) = service.asked
    assert {name: asked.headers[name] for name in headers} == headers
    assert set(asked.headers) - set(headers) <= {"host", "accept-encoding", "connection", "content-length"}
    assert headers["CARTESIA-VERSION"] == "2027-01-01"


def test_the_official_clients_names_are_there() -> None:
    cartesia = pytest.importorskip("cartesia")
    given: Any = {"api_key": KEY, "default_headers": {"X-Own": "own"}}
    with cartesia.Cartesia(**given) as official:
        ours = Cartesia(**given)
        assert {name.lower(): value for name, value in official.auth_headers.items()} == ours.auth_headers
        for name, value in official.default_headers.items():
            if not name.startswith("X-Stainless") and name not in ("User-Agent", "X-Cartesia-Client"):
                assert ours.default_headers[name] == value
        assert official.default_headers.keys() - {"X-Stainless-"} > {"User-Agent", "X-Cartesia-Client"}


def test_no_repr_of_them_shows_a_credential() -> None:
    client = Cartesia(
        api_key=KEY, default_headers={"X-API-Key": "another-secret", "X-Also": f"see {KEY}", "X-Own": "o"}
    )
    for headers in (client.auth_headers, client.default_headers):
        for each in (headers, copy.copy(headers), headers.copy(), pickle.loads(pickle.dumps(headers))):
            for shown in (repr(each), str(each), f"{each}", pprint.pformat(each), repr([each])):
                assert KEY not in shown
                assert "another-secret" not in shown
                assert "[redacted]" in shown
            assert each["authorization"] == f"Bearer {KEY}"
    assert "'x-own': 'o'" in repr(client.default_headers)


# ---- endpoints that have no method here

PAGES = [answer(200, {"data": [{"id": "a"}], "has_more": True}), answer(200, {"data": [{"id": "b"}]})]


def test_a_list_that_has_no_method_is_gone_through() -> None:
    last = answer(200, {"data": []})
    with Service(*PAGES, last) as service, Cartesia(api_key=KEY, base_url=service.url) as client:
        given: Any = {"params": {"limit": 1}, "headers": {"X-Own": "own"}}
        found = client.get_api_list("/things", model=Voice, page=SyncCursorIDPage[Voice], options=given)
        assert [type(each) for each in found] == [Voice, Voice]
        assert given == {"params": {"limit": 1}, "headers": {"X-Own": "own"}}
    cursors = ["", "&starting_after=a", "&starting_after=b"]
    assert [asked.target for asked in service.asked] == [f"/things?limit=1{each}" for each in cursors]
    assert {asked.headers["x-own"] for asked in service.asked} == {"own"}


def test_a_list_may_go_backwards_and_may_be_asked_for_by_another_method() -> None:
    with Service(*PAGES) as service, Cartesia(api_key=KEY, base_url=service.url) as client:
        found = client.get_api_list("/things", model=Voice, query={"ending_before": "c"}, body={"a": 1}, method="post")
        assert found.get_next_page().data[0].id == "b"
    assert [asked.target for asked in service.asked] == ["/things?ending_before=c", "/things?ending_before=a"]
    assert {(asked.method, asked.body) for asked in service.asked} == {("POST", b'{"a":1}')}
    with pytest.raises(TypeError, match="page: expected SyncCursorIDPage, got <class 'list'>"):
        client.get_api_list("/things", model=Voice, page=list)


def test_a_class_of_httpx_is_refused_by_what_to_use() -> None:
    httpx = pytest.importorskip("httpx")
    client = Cartesia(api_key=KEY)
    for kind in (httpx.Response, httpx.URL):
        with pytest.raises(TypeError, match=r"Give cartesia_sync\.APIResponse for the answer itself") as refused:
            client.get("/x", cast_to=kind)
        assert kind.__name__ in str(refused.value)


def test_the_official_clients_form_of_request_is_refused_by_what_is_expected() -> None:
    client = Cartesia(api_key=KEY)
    for wrong in ((Voice, object()), ("GET", object())):
        with pytest.raises(TypeError, match=r"expected a method, a path and cast_to="):
            client.request(*wrong)  # type: ignore[arg-type]  # as the official client's is called


def test_a_request_without_an_answer_to_read_may_say_none_or_its_type() -> None:
    with Service(answer(204)) as service, Cartesia(api_key=KEY, base_url=service.url) as client:
        assert client.delete("/x", cast_to=None) is None
        assert client.delete("/x", cast_to=type(None)) is None
        assert client.delete("/x", cast_to=cartesia_sync.APIResponse[None]).parse() is None
    assert {asked.headers["accept"] for asked in service.asked} == {"*/*"}


def test_a_refusal_of_one_is_a_refusal_like_all() -> None:
    with (
        Service(answer(402, {"title": "Pay"})) as service,
        Cartesia(api_key=KEY, base_url=service.url) as client,
        pytest.raises(APIStatusError, match="402: Pay"),
    ):
        client.get_api_list("/things", model=Voice)
