"""The HTTP side: who is admitted, and what the others get."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from typing import Any, Callable

import pytest
from websockets.exceptions import InvalidStatus

from cartesia_sync.local import LocalServer, Refuse, RefuseRequest

BOUND = 10.0
Dial = Callable[..., Any]
Ask = Callable[..., Any]
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"


def fetch(url: str, headers: Any = None, method: str = "GET") -> tuple[int, Any, str]:
    request = urllib.request.Request(url, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=BOUND) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.headers, exc.read().decode()


def refused(dial: Dial, server: LocalServer, path: str = "", **headers: str) -> Any:
    with pytest.raises(InvalidStatus) as caught:
        dial(server, path, headers)
    return caught.value.response


def test_the_status_page_needs_no_key() -> None:
    with LocalServer() as server:
        status, _, body = fetch(server.url + "/")
    assert status == 200
    assert json.loads(body) == {"ok": True, "version": "2026-08-14"}


FOREIGN = {"Origin": "https://evil.example"}


def test_a_web_page_of_elsewhere_can_do_nothing(ask: Ask, dial: Dial) -> None:
    body = json.dumps({"model_id": "sonic-3", "transcript": "Hello.", "voice": VOICE, "output_format": {}})
    with LocalServer(engine="signal") as server:
        assert refused(dial, server, "?api_key=x", **FOREIGN).status_code == 403
        answers = [
            # What a page may send without asking first: a "simple" request.
            ask(server, "POST", "/tts/bytes?api_key=x", data=body, headers={"Content-Type": "text/plain", **FOREIGN}),
            ask(
                server,
                "POST",
                "/voices/clone?api_key=x",
                data={"name": "Mine", "language": "en"},
                files={"clip": ("c.wav", b"RIFF")},
                headers=FOREIGN,
            ),
            ask(server, "GET", "/voices", headers={"Host": f"evil.example:{server.port}"}),
            ask(server, "GET", "/tts/websocket", headers={"Host": "evil.example", "Upgrade": "websocket"}),
            ask(server, "GET", "/", headers=FOREIGN),
            ask(server, "GET", "/nowhere", headers=FOREIGN),
        ]
        assert [answer.status_code for answer in answers] == [403] * len(answers)
        assert ask(server, "GET", "/voices?is_owner=true").json()["data"] == []
        # They are on record, and their bodies were not looked at.
        assert [request.body for request in server.requests] == [None] * len(server.requests)
        assert len(server.handshakes) == 2
        assert server.heard == []


def test_a_web_page_that_is_welcome_is_served(ask: Ask, dial: Dial) -> None:
    with LocalServer(engine="signal", allow_origins=[FOREIGN["Origin"]]) as server:
        peer = dial(server, "?api_key=x", FOREIGN)
        peer.ask("a", "Hello.")
        assert peer.until("a")[-1]["type"] == "done"
        assert ask(server, "GET", "/voices", headers=FOREIGN).status_code == 200


@pytest.mark.parametrize(("path", "method"), [("/nowhere", "GET"), ("/tts", "POST"), ("/voices/a/b/c", "DELETE")])
def test_all_else_is_not_found(path: str, method: str) -> None:
    with LocalServer() as server:
        status, headers, body = fetch(server.url + path, method=method)
    assert status == 404
    error = json.loads(body)
    assert set(error) == {"error_code", "title", "message", "request_id"}
    assert str(uuid.UUID(error["request_id"])) == headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [("/", "DELETE", "GET"), ("/tts/bytes", "GET", "POST"), ("/voices/x", "PUT", "DELETE, GET, PATCH")],
)
def test_a_known_path_says_what_it_answers(path: str, method: str, allowed: str) -> None:
    with LocalServer() as server:
        status, headers, body = fetch(server.url + path, method=method)
    assert (status, headers["Allow"]) == (405, allowed)
    assert json.loads(body)["title"] == "Method not allowed"


def test_older_versions_read_errors_as_text() -> None:
    with LocalServer() as server:
        _, headers, body = fetch(server.url + "/nowhere", {"Cartesia-Version": "2025-11-04"})
    assert headers.get_content_type() == "text/plain"
    assert body == "Not found: There is no GET /nowhere."


def test_a_plain_get_of_the_websocket_is_a_bad_request() -> None:
    with LocalServer() as server:
        status, _, body = fetch(server.url + "/tts/websocket", {"X-API-Key": "any"})
    assert status == 400
    assert "upgrade" in json.loads(body)["message"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("", {"Authorization": "Bearer key-1"}),
        ("", {"Authorization": "bearer key-1"}),
        ("", {"X-API-Key": "key-1"}),
        ("?access_token=key-1", {}),
        ("?api_key=key-1", {}),
    ],
)
def test_a_credential_may_come_in_any_of_five_ways(dial: Dial, path: str, headers: dict[str, str]) -> None:
    with LocalServer(api_keys={"key-1", "key-2"}) as server:
        dial(server, path, headers)
        server.wait_for(lambda server: server.open_connections == 1, BOUND)


@pytest.mark.parametrize(
    ("path", "headers"),
    [("", {}), ("", {"Authorization": "Bearer "}), ("", {"Authorization": "Basic eA=="}), ("?api_key=", {})],
)
def test_without_a_credential_nobody_gets_in(dial: Dial, path: str, headers: dict[str, str]) -> None:
    with LocalServer() as server:
        response = refused(dial, server, path, **headers)
    assert response.status_code == 401
    assert json.loads(response.body)["title"] == "Unauthorized"
    assert response.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {"Authorization": "Bearer key-1"}),
        ("", {"X-API-Key": "key-1"}),
        ("?access_token=key-1", {}),
        ("?api_key=key-1", {}),
    ],
)
def test_requests_take_the_same_credentials(query: str, headers: dict[str, str]) -> None:
    with LocalServer(api_keys={"key-1"}) as server:
        assert fetch(f"{server.url}/voices{query}", headers)[0] == 200
        for wrong in ({}, {"X-API-Key": "key-2"}, {"Authorization": "Basic eA=="}):
            status, _, body = fetch(server.url + "/voices", wrong)
            assert (status, json.loads(body)["title"]) == (401, "Unauthorized")


@pytest.mark.parametrize(("method", "path"), [("GET", "/agents"), ("POST", "/agents/metrics/x/y")])
def test_what_the_service_does_and_this_does_not_is_reported(method: str, path: str) -> None:
    with LocalServer() as server:
        status, headers, body = fetch(server.url + path, {"X-API-Key": "any"}, method)
        assert (status, headers["X-Should-Retry"]) == (501, "false")
        assert json.loads(body)["title"] == "Not implemented"
        older = fetch(server.url + path, {"X-API-Key": "any", "Cartesia-Version": "2025-11-04"}, method)
        assert older[2].startswith("Not implemented: The local server does not do")


def test_only_the_given_keys_open_a_locked_server(dial: Dial) -> None:
    with LocalServer(api_keys={"right"}) as server:
        assert refused(dial, server, **{"X-API-Key": "wrong"}).status_code == 401
        dial(server, headers={"X-API-Key": "right"})


def test_ten_connections_for_each_unit_of_concurrency(dial: Dial) -> None:
    with LocalServer(concurrency_limit=1) as server:
        peers = [dial(server) for _ in range(10)]
        response = refused(dial, server, **{"X-API-Key": "any"})
        assert response.status_code == 429
        assert json.loads(response.body)["error_code"] == "concurrency_limited"
        peers[0].websocket.close()
        server.wait_for(lambda server: server.open_connections == 9, BOUND)
        dial(server)


def test_a_handshake_is_answered_with_an_id_and_no_extension(dial: Dial) -> None:
    with LocalServer() as server:
        peer = dial(server)
        headers = peer.websocket.response.headers
    uuid.UUID(headers["X-Request-Id"])
    assert "permessage-deflate" in peer.websocket.request.headers["Sec-WebSocket-Extensions"]
    assert "Sec-WebSocket-Extensions" not in headers


def test_handshakes_are_written_down(dial: Dial) -> None:
    with LocalServer(api_keys={"right"}) as server:
        refused(dial, server, "?cartesia_version=2025-11-04", **{"X-API-Key": "wrong", "X-Mine": "1"})
        dial(server, headers={"X-API-Key": "right"})
        first, second = server.handshakes
    assert first.path == "/tts/websocket"
    assert first.query == {"cartesia_version": "2025-11-04"}
    assert first.headers["x-mine"] == first.headers["X-Mine"] == "1"
    assert second.headers["X-API-Key"] == "right"


@pytest.mark.parametrize(
    ("path", "headers", "legacy"),
    [
        ("", {}, False),
        ("", {"Cartesia-Version": "2025-11-04"}, True),
        ("?cartesia_version=2025-11-04", {"Cartesia-Version": "2026-08-14"}, True),
        ("?cartesia_version=2026-03-01", {"Cartesia-Version": "2025-11-04"}, False),
    ],
)
def test_the_version_in_the_query_wins(dial: Dial, path: str, headers: dict[str, str], legacy: bool) -> None:
    with LocalServer() as server:
        peer = dial(server, path, {"X-API-Key": "any", **headers})
        peer.send("no JSON")
        assert ("error" in peer.event()) is legacy


def test_a_refusal_is_told_as_ordered(dial: Dial) -> None:
    with LocalServer(
        faults=[
            Refuse(402),
            Refuse(503, body="busy", headers={"Retry-After": "1"}),
            Refuse(418, body={"tea": "pot"}),
            Refuse(500, body=b"\xff"),
        ]
    ) as server:
        first = refused(dial, server)  # even without a credential
        assert first.status_code == 402
        assert json.loads(first.body)["error_code"] is None
        second = refused(dial, server)
        assert (second.status_code, second.body, second.headers["Retry-After"]) == (503, b"busy", "1")
        assert json.loads(refused(dial, server).body) == {"tea": "pot"}
        assert refused(dial, server).body == b"\xff"
        dial(server)
        assert len(server.handshakes) == 5


def test_refusals_without_end_end_when_cleared(dial: Dial) -> None:
    with LocalServer(faults=[Refuse(429, times=None)]) as server:
        for _ in range(3):
            assert refused(dial, server).status_code == 429
        server.clear_faults()
        dial(server)


PAGE = "https://page.example"


@pytest.mark.parametrize(
    ("origin", "allow_origins", "is_welcome"),
    [
        (PAGE, [PAGE], True),
        (PAGE, ["*"], True),
        ("http://localhost:3000", [], True),
        (PAGE, [], False),
        (PAGE, ["https://other.example"], False),
    ],
)
def test_a_browser_shows_answers_to_the_pages_that_are_welcome(
    ask: Ask, origin: str, allow_origins: Any, is_welcome: bool
) -> None:
    """Errors, streams and refusals by a fault as well; first it asks whether the page may ask, without a key."""
    with LocalServer(engine="signal", allow_origins=allow_origins) as server:
        preflight = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key, content-type",
            "Access-Control-Request-Private-Network": "true",
        }
        for path in ("/tts/bytes", "/stt", "/nowhere"):
            answer = ask(server, "OPTIONS", path, key=None, headers=preflight)
            assert (answer.status_code == 204) is is_welcome
            if is_welcome:
                assert answer.headers["Access-Control-Allow-Methods"] == "POST"
                assert answer.headers["Access-Control-Allow-Headers"] == "x-api-key, content-type"
                assert answer.headers["Access-Control-Allow-Private-Network"] == "true"
        body = {
            "model_id": "sonic-3",
            "transcript": "One.",
            "voice": VOICE,
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
        }
        headers = {"Origin": origin}
        server.inject(RefuseRequest(503))
        answers = [
            ask(server, "GET", "/voices", headers=headers),
            *(ask(server, "POST", "/tts/sse", json=sent, headers=headers) for sent in (body, {})),
        ]
        assert [answer.status_code for answer in answers] == ([503, 200, 400] if is_welcome else [503, 403, 403])
        for answer in answers:
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if is_welcome else None)
            assert answer.headers.get("Vary") == ("Origin" if is_welcome else None)
        assert "Access-Control-Allow-Origin" not in ask(server, "GET", "/voices").headers
