"""The inspector, asked as a browser asks; without one."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import wave
from typing import Any

import pytest
import websocket

from cartesia_sync.local import LocalServer

from .conftest import Looker

VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
KEY = "sk_car_nobody-reads-it"


def speech(text: str, context_id: str, encoding: str = "pcm_s16le", **fields: Any) -> str:
    message = {
        "model_id": "sonic-latest",
        "transcript": text,
        "voice": VOICE,
        "context_id": context_id,
        "output_format": {"container": "raw", "encoding": encoding, "sample_rate": 16000},
        "continue": False,
        "add_timestamps": True,
    }
    return json.dumps({**message, **fields})


def say(server: LocalServer, *messages: str) -> list[dict[str, Any]]:
    """Send these on a connection of their own; return what was heard until all were done."""
    url = f"{server.websocket_url}/tts/websocket?cartesia_version=2026-08-14"
    socket = websocket.WebSocket()
    try:
        socket.connect(url, timeout=10, header={"X-API-Key": KEY})
        heard: list[dict[str, Any]] = []
        for message in messages:
            for line in message.split("\n"):
                socket.send(line)
        while sum(bool(each.get("done")) for each in heard) < len(messages):
            heard.append(json.loads(socket.recv()))
        return heard
    finally:
        socket.shutdown()


def test_a_context_is_seen_from_its_text_to_its_end(server: LocalServer, looker: Looker) -> None:
    heard = say(server, speech("Hello there.", "one"))
    kinds = ["open", "sent", *["got"] * len(heard), "close"]
    entries = looker.entries(len(kinds))
    assert [each["kind"] for each in entries] == kinds
    assert entries[0]["path"] == "/tts/websocket"
    assert (entries[1]["text"], entries[1]["voice"], entries[1]["ctx"]) == ("Hello there.", VOICE, "one")
    chunks = [each for each in entries if each.get("type") == "chunk"]
    audio = b"".join(base64.b64decode(each["data"]) for each in heard if each["type"] == "chunk")
    assert sum(each["bytes"] for each in chunks) == len(audio)
    assert sum(each["seconds"] for each in chunks) == pytest.approx(len(audio) / 32000)
    assert [each["slots"] for each in entries if "slots" in each] == [[0, 8], [1, 8], [0, 8]]
    assert [word for each in entries if "words" in each for word in each["words"][0]] == ["Hello", "there."]
    raw = json.loads(looker.row(entries[1]["row"]))
    assert [json.loads(each["raw"]).get("type", "sent") for each in raw] == ["sent", *(each["type"] for each in heard)]
    assert all(json.loads(each["raw"])["data"] == "@" for each in raw if each.get("type") == "chunk")


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"])
def test_its_audio_is_played(server: LocalServer, looker: Looker, encoding: str) -> None:
    heard = say(server, speech("Hello.", "one", encoding), speech("Hello.", "two"))
    width = {"pcm_s16le": 2, "pcm_f32le": 4}.get(encoding, 1)
    count = sum(len(base64.b64decode(e["data"])) for e in heard if e["type"] == "chunk" and e["context_id"] == "one")
    found = looker.row("server 0 one", "audio")
    assert found[:4] == b"RIFF"
    assert int.from_bytes(found[20:22], "little") == (3 if width == 4 else 1)
    assert int.from_bytes(found[4:8], "little") == len(found) - 8
    samples = (len(found) - 44) // (4 if width == 4 else 2)
    assert samples == count // width
    if width == 1:  # the same speech, but for what the companding loses
        with wave.open(io.BytesIO(found)) as one, wave.open(io.BytesIO(looker.row("server 0 two", "audio"))) as two:
            pairs = list(zip(*(memoryview(each.readframes(samples)).cast("h") for each in (one, two))))
        assert max(abs(one - two) for one, two in pairs) < 1100
        assert max(abs(two) for _, two in pairs) > 3000


def test_calls_are_seen_and_no_credential(server: LocalServer, looker: Looker) -> None:
    def post(path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        status, _, answer = looker.ask(
            path, "POST", json.dumps(body), Authorization=f"Bearer {KEY}", Content_Type="application/json"
        )
        return status, answer

    request = json.loads(speech("By HTTP.", "x"))
    for name in ("context_id", "continue", "add_timestamps"):
        del request[name]
    assert post("/tts/bytes", request)[0] == 200
    assert post("/tts/sse", request)[0] == 200
    token = json.loads(post("/access-token", {"expires_in": 60, "grants": {"tts": True}})[1])["token"]
    assert post("/tts/bytes", {**request, "voice": "nobody"})[0] == 404
    say(server, speech("One.", "one"))
    entries = looker.entries("close")
    calls = [each for each in entries if each["kind"] == "call"]
    assert [(each["path"], each.get("text")) for each in calls] == [
        ("/tts/bytes", "By HTTP."),
        ("/tts/sse", "By HTTP."),
        ("/access-token", None),
        ("/tts/bytes", "By HTTP."),
    ]
    assert [each["status"] for each in entries if each["kind"] == "answer"] == [200, 200, 200, 404]
    assert [each["how"] for each in entries if each["kind"] == "end"] == ["whole"] * 4
    everything = json.dumps(entries) + "".join(
        looker.row(row).decode() for row in {each["row"] for each in entries if each["row"]}
    )
    assert "By HTTP." in everything
    assert KEY not in everything
    assert token not in everything
    assert looker.row(calls[0]["row"], "audio")[44:] == looker.row(calls[1]["row"], "audio")[44:]


def test_refusals_and_losses_are_seen(server: LocalServer, looker: Looker) -> None:
    assert looker.ask("/inspector/fault", "POST", "Refuse(429)")[0] == 200
    with pytest.raises(websocket.WebSocketBadStatusException):
        say(server, speech("One.", "one"))
    assert looker.ask("/inspector/fault", "POST", "ErrorEvent(429, after=1)")[0] == 200
    heard = say(server, speech("One.", "one"))
    assert heard[-1]["type"] == "error"
    entries = looker.entries("close")
    assert [each["status"] for each in entries if each["kind"] == "refused"] == [429]
    assert [each["status_code"] for each in entries if each.get("type") == "error"] == [429]
    assert [each["text"] for each in entries if each["kind"] == "fault"] == [
        "Refuse(429) injected",
        "ErrorEvent(429, after=1) injected",
    ]


@pytest.mark.parametrize(
    "wrong", ["", "Close(", "open('x')", "Close('x')", "(" * 900, "Nonsense()", "__import__('os')"]
)
def test_a_wrong_fault_is_told(looker: Looker, wrong: str) -> None:
    status, _, told = looker.ask("/inspector/fault", "POST", wrong)
    assert status == 400
    assert told


def test_faults_are_removed(server: LocalServer, looker: Looker) -> None:
    looker.ask("/inspector/fault", "POST", "Refuse(500, times=None)")
    assert looker.ask("/inspector/clear-faults", "POST")[0] == 200
    assert say(server, speech("One.", "one"))[-1]["type"] == "done"


# ---- who may look


PATHS = ["", "/", "/events", "/audio?row=x", "/row?row=x", "/python?row=x", "/tape?row=x", "/style.css", "/script.js"]
POSTS = ["/fault", "/clear-faults", "/clear", "/mirror"]


@pytest.mark.parametrize(("method", "path"), [*(("GET", path) for path in PATHS), *(("POST", path) for path in POSTS)])
def test_nobody_looks_without_the_token(looker: Looker, method: str, path: str) -> None:
    cookie = looker.cookie
    name = cookie.partition("=")[0]
    for wrong in ("", f"{name}=", f"{name}={'x' * 32}", f"{name}=\u00e9"):
        looker.cookie = wrong.encode().decode("latin-1")
        status, headers, told = looker.ask(f"/inspector{path}", method)
        assert status == 403
        assert b"cartesia-sync serve" in told
        assert "Set-Cookie" not in headers
    looker.cookie = cookie
    status, headers, _ = looker.ask(f"/inspector{path}", method, Host="evil.example")
    assert status == 403
    status, headers, _ = looker.ask(f"/inspector{path}", method, Host=f"evil.example:{looker.port}", Origin="null")
    assert status == 403
    for origin in ("http://127.0.0.1:1", "http://evil.example", "null"):
        assert looker.ask(f"/inspector{path}", method, Origin=origin)[0] == 403
    if path.rstrip("/"):
        for site in ("cross-site", "same-site"):
            assert looker.ask(f"/inspector{path}", method, Sec_Fetch_Site=site)[0] == 403


@pytest.mark.parametrize("host", ["[::1", "", "localhost.", "127.0.0.1.example"])
def test_a_strange_host_is_refused(looker: Looker, host: str) -> None:
    assert looker.ask("/inspector/clear", "POST", Host=host)[0] in (400, 403)


def test_an_open_page_does_not_hold_the_server(server: LocalServer, looker: Looker) -> None:
    with contextlib.closing(http.client.HTTPConnection(looker.host, looker.port, timeout=10)) as connection:
        connection.request("GET", "/inspector/events", headers={"Cookie": looker.cookie})
        with connection.getresponse() as answer:
            assert answer.readline() == b"retry: 1000\n"
            server.stop()
            assert answer.read().strip() == b""  # to its end


def test_the_page_is_sealed(looker: Looker) -> None:
    status, headers, page = looker.ask(f"/inspector?t={looker.token}")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "SameSite=Strict" in headers["Set-Cookie"]
    assert "HttpOnly" in headers["Set-Cookie"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    for text in (
        page.decode(),
        looker.ask("/inspector/script.js")[2].decode(),
        looker.ask("/inspector/style.css")[2].decode(),
    ):
        for forbidden in ("http://", "https://", "innerHTML", "eval(", "style=", "onclick"):
            assert forbidden not in text


def test_a_server_that_others_reach_shows_it_to_this_machine_alone() -> None:
    with LocalServer(host="0.0.0.0", allow_anyone=True, allow_origins=["*"], engine="signal", inspector=True) as server:
        assert server.inspector_url is not None
        looker = Looker(server.inspector_url)
        looker.enter()
        assert looker.ask("/inspector/clear", "POST", Host="10.0.0.1")[0] == 403
        assert looker.ask("/inspector/clear", "POST", Origin="https://evil.example")[0] == 403


def test_without_it_there_is_none() -> None:
    with LocalServer(engine="signal") as server:
        assert server.inspector_url is None
        assert Looker(f"{server.url}/inspector?t=x").ask("/inspector?t=x")[0] == 404


def test_the_api_keeps_its_root(looker: Looker) -> None:
    status, headers, body = looker.ask("/", Accept="text/html")
    assert status == 200
    assert headers["Content-Type"].startswith("application/json")
    assert json.loads(body)["ok"]


# ---- what goes elsewhere


def test_a_context_as_a_python_program_speaks_the_same(server: LocalServer, looker: Looker) -> None:
    say(server, "\n".join([speech("First, ", "one", **{"continue": True}), speech('"quoted"\n', "one")]))
    program = looker.row("server 0 one", "python").decode()
    assert "context.push('First, ')" in program
    assert "context.push('\"quoted\"\\n', continue_=False)" in program
    compile(program, "program", "exec")


def test_what_a_client_mirrors_is_shown(looker: Looker) -> None:
    lines = [
        {"source": "my program", "now": 100.0, "dropped": 3},
        {"at": 99.0, "do": "opened", "with": [0, "/tts/websocket", "v"]},
        {"at": 99.1, "do": "said", "with": [0, speech("Mirrored.", "one")]},
        {"at": 99.2, "do": "heard", "with": [0, '{"type":"done","context_id":"one","done":true}']},
        {"at": 99.3, "do": "answered", "with": [1]},
        {"at": 99.4, "do": "__init__", "with": []},
        {"at": "x", "do": "closed", "with": [0]},
        {"do": "closed"},
        [],
    ]
    body = "\n".join(map(json.dumps, lines))
    status, _, told = looker.ask("/inspector/mirror", "POST", body)
    assert (status, told) == (200, b"3 taken, 5 not understood")
    entries = looker.entries(4)
    assert [each["kind"] for each in entries] == ["open", "sent", "got", "dropped"]
    assert {each["source"] for each in entries} == {"my-program"}
    assert entries[2]["at"] - entries[0]["at"] == pytest.approx(0.2, abs=0.001)
    for wrong in ("", "{}", "[1]", '{"source": 1}', "\x00", '{"source": "x", "now": "y"}'):
        assert looker.ask("/inspector/mirror", "POST", wrong)[0] == 400


def test_a_row_that_is_not_there_is_empty(looker: Looker) -> None:
    assert looker.row("nobody") == b"[]"
    assert looker.ask("/inspector/audio?row=nobody")[0] == 404
    assert looker.row("x", "python").startswith(b"from cartesia_sync")
    assert json.loads(looker.row("x", "tape").split(b"\n")[0])["tape"] == 1


def test_clear_forgets(server: LocalServer, looker: Looker) -> None:
    say(server, speech("One.", "one"))
    looker.entries(3)
    assert looker.ask("/inspector/clear", "POST")[0] == 200
    assert looker.row("server 0 one") == b"[]"
    say(server, speech("Two.", "two"))
    assert looker.entries(2)[1]["text"] == "Two."
