"""Tapes: recorded from the local server, and replayed without it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
import websocket
from aiohttp import web

from cartesia_sync import APIError, Cartesia, RateLimitError, TruncatedError
from cartesia_sync.local import Close, CutAnswer, LocalServer, Refuse, RefuseRequest
from cartesia_sync.testing import Tape, TapeError, TapeMismatchError, tape
from cartesia_sync.testing.tapes.conversations import Live, Script
from cartesia_sync.testing.tapes.reel import Reel
from cartesia_sync.testing.tapes.secrets import TAKEN_OUT, Secrets

from ..local.inspector.conftest import Looker

KEY = "sk_car_never-on-a-tape"
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}
SPEECH: Any = {"model_id": "sonic-latest", "voice": VOICE, "output_format": FORMAT}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setenv("CARTESIA_API_KEY", KEY)
    with LocalServer(engine="signal") as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tapes" / "one"


def say(client: Cartesia, *pieces: str, **options: Any) -> list[Any]:
    """Say this in a context of its own; return what was heard, but for ids."""
    with client.tts.websocket_connect() as connection:
        context = connection.context(**{**SPEECH, **options})
        for piece in pieces:
            context.push(piece)
        context.no_more_inputs()
        heard = [_without_ids(event) for event in context]
        assert heard[-1][0] != "error", heard[-1][1]
        return heard


def _without_ids(event: Any) -> Any:
    if event.type == "error":
        return event.type, str(event)
    return event.type, event.audio if event.type == "chunk" else getattr(event, "words", None)


def everything(_: None = None) -> list[Any]:
    """Use both transports, from three threads at a time."""
    with Cartesia() as client:
        heard: list[Any] = [
            client.tts.generate(transcript="Over HTTP.", **SPEECH).read(),
            [voice.id for voice in client.voices.list()],
            [_without_ids(event) for event in client.tts.generate_sse(transcript="Événements.", **SPEECH)],
            client.access_token.create(expires_in=60, grants={"tts": True}) is not None,
        ]
        texts = [["One ", "and two. "], ["One ", "and three. "], ["One ", "and two. "]]
        with ThreadPoolExecutor(3) as threads:
            heard += threads.map(lambda pieces: say(client, *pieces, add_timestamps=True), texts)
        return heard


def test_what_was_recorded_is_replayed_byte_for_byte_without_the_service(server: LocalServer, folder: Path) -> None:
    with Tape(folder, service=server.url) as recording:
        recorded = everything()
        assert recording.is_recording
    server.stop()
    for _ in range(3):
        with Tape(folder) as replay:
            assert everything() == recorded
            assert not replay.is_recording
        assert sorted(replay.spoken) == sorted(recording.spoken)
    assert len(recorded[0]) > 1000


def test_the_messages_are_those_of_the_service(server: LocalServer, folder: Path) -> None:
    """Each frame, byte for byte, but for the context's id."""

    def frames(url: str, context_id: str) -> list[str]:
        socket = websocket.create_connection(
            f"ws{url[4:]}/tts/websocket?cartesia_version=2026-08-14", header={"X-API-Key": KEY}, timeout=10
        )
        request = {**SPEECH, "transcript": "One. Two.", "context_id": context_id, "add_timestamps": True}
        socket.send(json.dumps({**request, "continue": False}))
        heard: list[str] = []
        while not heard or json.loads(heard[-1])["type"] != "done":
            heard.append(str(socket.recv()))
        socket.close()
        return [each.replace(context_id, "ID") for each in heard]

    with Tape(folder, service=server.url) as recording:
        recorded = frames(recording.url, "the-first-of-all")
    with Tape(folder) as replay:
        assert frames(replay.url, "another") == recorded


def test_no_credential_is_on_the_tape(server: LocalServer, folder: Path) -> None:
    with Tape(folder, service=server.url), Cartesia() as client:
        token = client.access_token.create(expires_in=60, grants={"tts": True}).token
        with Cartesia(token=token) as other:
            say(other, "By a token.")
            other.tts.generate(transcript="By a token.", **SPEECH).read()
        say(client, "By a key.")
    contents = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert len(contents) > 10_000
    for secret in (KEY, token):
        assert secret.encode() not in contents
    assert TAKEN_OUT.encode() in contents  # in the answer that gave the token
    with Tape(folder), Cartesia() as client:
        assert client.access_token.create(expires_in=60, grants={"tts": True}).token == TAKEN_OUT


def test_words_that_only_look_like_keys_stay() -> None:
    secrets = Secrets()
    secrets.note({"x-api-key": "any"}, [("api_key", "a-key-of-the-user")])
    text = "disk_usage sk_learn any a-key-of-the-user sk_car_0123"
    assert secrets.taken_out(text) == f"disk_usage sk_learn any {TAKEN_OUT} {TAKEN_OUT}"
    assert secrets.is_in(b"..a-key-of-the-user..")


def problem_of(folder: Path, program: Callable[[Cartesia], object], **options: Any) -> str:
    """Run a program on a tape on which something is missing; return what is told at the end."""
    running = Tape(folder, **options).start()
    with Cartesia(max_retries=0) as client, pytest.raises((APIError, AssertionError)) as caught:
        program(client)
    running.stop()
    assert running.problem is not None
    assert str(running.problem).partition("\n")[0] in str(caught.value)
    with pytest.raises(type(running.problem)):
        running.__exit__(None, None, None)
    return str(running.problem)


@pytest.mark.parametrize("pieces", [["One, ", "and three."], ["Six."]])
def test_another_text_fails_with_a_diff(server: LocalServer, folder: Path, pieces: list[str]) -> None:
    with Tape(folder, service=server.url), Cartesia() as client:
        say(client, "One, ", "and two.")
    told = problem_of(folder, lambda client: say(client, *pieces))
    assert "-  One, and two." in told
    assert f"+  {''.join(pieces)}" in told
    assert ' model_id: "sonic-latest"' in told


def test_other_options_another_call_and_another_kind_fail(server: LocalServer, folder: Path) -> None:
    def one_more(client: Cartesia) -> None:
        say(client, "One.")
        say(client, "One.")

    with Tape(folder, service=server.url), Cartesia() as client:
        say(client, "One.")
        client.tts.generate(transcript="One.", **SPEECH).read()
    assert '+language: "de"' in problem_of(folder, lambda client: say(client, "One.", language="de"))
    told = problem_of(folder, lambda client: client.tts.generate(transcript="Two.", **SPEECH).read())
    assert '-  "transcript": "One.",\n+  "transcript": "Two.",' in told
    assert "+GET /voices" in problem_of(folder, lambda client: client.voices.list())
    assert "stands on the tape once, and was sent once more" in problem_of(folder, one_more)
    old = {"Cartesia-Version": "2025-04-16"}
    told = problem_of(folder, lambda client: client.with_options(default_headers=old).tts.websocket_connect().enter())
    assert "-version: 2026-08-14\n+version: 2025-04-16" in told


def test_what_goes_wrong_is_replayed_in_its_order(server: LocalServer, folder: Path) -> None:
    def program() -> list[Any]:
        seen: list[Any] = []
        with Cartesia(max_retries=0) as client:
            for attempt in (
                lambda: client.tts.websocket_connect().enter(),
                lambda: client.get_status(),
                lambda: client.get_status().ok,
                lambda: client.tts.generate(transcript="A cut one.", **SPEECH).read(),
                lambda: say(client, "This is a longer text, which ends in the middle of it, as it happens at times."),
            ):
                try:
                    seen.append(attempt())
                except TruncatedError as error:
                    seen.append(type(error))
                except APIError as error:
                    seen.append((type(error), str(error)))
        return seen

    server.inject(
        Refuse(429), RefuseRequest(429, path="/"), CutAnswer(after=100, path="/tts/bytes"), Close(1011, after=2)
    )
    with Tape(folder, service=server.url):
        recorded = program()
    assert recorded[0][0] is recorded[1][0] is RateLimitError
    assert recorded[2] is True
    assert recorded[4] is TruncatedError
    with Tape(folder):
        assert program() == recorded


def test_a_cancel_is_replayed(server: LocalServer, folder: Path) -> None:
    def program() -> str:
        with Cartesia() as client, client.tts.websocket_connect() as connection:
            context = connection.context(**SPEECH)
            context.push("One. ")
            context.push("Two. ", flush=True)
            first = next(iter(context)).type
            context.cancel()
            return f"{first} {say(client, 'Three.')[-1][0]}"

    with Tape(folder, service=server.url) as recording:
        recorded = program()
        assert recording.contexts[0].cancelled
    with Tape(folder) as replay:
        assert program() == recorded
        assert replay.contexts[0].cancelled
        assert [each.pieces for each in replay.contexts] == [["One. ", "Two. "], ["Three."]]


def test_the_modes(server: LocalServer, folder: Path) -> None:
    with pytest.raises(TapeError, match="no tape"), Tape(folder, record="none"):
        raise AssertionError("it ran")
    with Tape(folder, service=server.url), Cartesia() as client:
        one = say(client, "One.")
    first = (folder / "tape.jsonl").read_text()
    with Tape(folder, record="new", service=server.url), Cartesia() as client:
        assert say(client, "One.") == one
        two = say(client, "Two.")
        assert client.get_status().ok
    assert (folder / "tape.jsonl").read_text().startswith(first)
    with Tape(folder, record="none"), Cartesia() as client:
        assert client.get_status().ok
        assert say(client, "Two.") == two
        assert say(client, "One.") == one
    with Tape(folder, record="all", service=server.url), Cartesia() as client:
        say(client, "Three.")
    with pytest.raises(TapeMismatchError), Tape(folder), Cartesia() as client:
        say(client, "One.")
    assert len(list(folder.iterdir())) == 2  # the lines, and the audio of one context
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


def test_new_records_beside_what_is_replayed_on_one_connection(server: LocalServer, folder: Path) -> None:
    def program(*texts: str) -> list[bytes]:
        with Cartesia() as client, client.tts.websocket_connect() as connection:
            contexts = [connection.context(**SPEECH) for _ in texts]
            for context, text in zip(contexts, texts):
                context.push(text, continue_=False)
            return [bytes(context.audio()) for context in contexts]

    with Tape(folder, service=server.url):
        one = program("One.")
    with Tape(folder, record="new", service=server.url):
        both = program("One.", "Two.")
    server.stop()
    with Tape(folder):
        assert program("One.", "Two.") == both
    assert both[0] == one[0]


def test_new_contexts_that_are_recorded_at_once_keep_their_order(server: LocalServer, folder: Path) -> None:
    def program(*texts: list[str]) -> list[bytes]:
        with Cartesia() as client, client.tts.websocket_connect() as connection:
            contexts = [connection.context(**SPEECH) for _ in texts]
            for pieces in zip(*texts):  # in turns, so that each is unfinished while the others begin
                for context, piece in zip(contexts, pieces):
                    context.push(piece)
            for context in contexts:
                context.no_more_inputs()
            return [bytes(context.audio()) for context in contexts]

    with Tape(folder, service=server.url), Cartesia() as client:
        say(client, "Known.")
    new = [[f"Text {number}, ", *(f"piece {piece}, " for piece in range(20)), "end."] for number in range(4)]
    server_before = len(server.handshakes)
    with Tape(folder, record="new", service=server.url):
        recorded = program(*new)
    assert len(server.handshakes) == server_before + 1
    said: dict[str, str] = {}
    for each in server.heard[-200:]:
        assert isinstance(each.message, dict)
        context_id = each.message["context_id"]
        said[context_id] = said.get(context_id, "") + each.message["transcript"]
    assert {"".join(pieces) for pieces in new} <= set(said.values())
    with Tape(folder, record="none"):
        assert program(*new) == recorded


def test_nothing_is_written_of_a_block_that_failed(server: LocalServer, folder: Path) -> None:
    def program() -> None:
        with Tape(folder, service=server.url), Cartesia() as client:
            assert client.get_status().ok
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        program()
    assert not folder.exists()
    with Tape(folder, service=server.url):
        pass
    assert not folder.exists()


def test_a_service_that_is_not_there_is_said(server: LocalServer, folder: Path) -> None:
    server.stop()
    for program in (lambda client: client.get_status(), lambda client: client.tts.websocket_connect().enter()):
        assert "cannot be reached to record from" in problem_of(folder, program, service=server.url)
    assert not folder.exists()


def test_a_recording_of_the_service_needs_a_key(folder: Path) -> None:
    with Tape(folder) as running, pytest.raises(TapeError, match=r"api\.cartesia\.ai needs CARTESIA_API_KEY"):
        assert running.key


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "expected a tape of format 1"), (b'{"tape": 9}\n', "format 1"), (b"\xff", "codec"), (b"{", "Expecting")],
)
def test_a_tape_that_cannot_be_read(folder: Path, content: bytes, told: str) -> None:
    folder.mkdir(parents=True)
    (folder / "tape.jsonl").write_bytes(content)
    with pytest.raises(TapeError, match=told):
        tape(folder).start()


def test_wrong_options_are_told() -> None:
    with pytest.raises(ValueError, match="once, new, none, all"):
        tape("x", record="never")
    with pytest.raises(ValueError, match="recorded"):
        tape("x", pace="slow")


def test_the_pace_of_the_recording() -> None:
    reel = Reel()
    reel.add(1.0, socket=1, open="/tts/websocket", query=[], version="v", status=101)
    reel.add(2.0, socket=1, sent={"context_id": "a", "transcript": "One.", "continue": False})
    reel.add(2.5, socket=1, got={"context_id": "a", "type": "chunk"})
    (script,) = Script.all_of(reel)
    live = Live(script.said.key, "b")
    live.play(script)
    assert live.due(pace=True) is None
    live.take({"context_id": "b", "transcript": "One.", "continue": False}, now=70.0)
    due = live.due(pace=True)
    assert due is not None
    assert due[1] == 70.5
    assert live.due(pace=False) == (due[0], 70.0)


def test_at_the_pace_of_the_recording(server: LocalServer, folder: Path) -> None:
    with Tape(folder, service=server.url):
        recorded = everything()
    with Tape(folder, pace="recorded"):
        assert everything() == recorded


def test_what_the_inspector_saves_is_a_tape(folder: Path) -> None:
    with LocalServer(engine="signal", inspector=True) as server:
        assert server.inspector_url is not None
        looker = Looker(server.inspector_url)
        looker.enter()
        with Cartesia(api_key=KEY, base_url=server.url) as client:
            said = say(client, "One, ", "and two.", add_timestamps=True)
        row = next(each["row"] for each in looker.entries("close") if each.get("text") == "One, ")
        folder.mkdir(parents=True)
        (folder / "tape.jsonl").write_bytes(looker.row(row, "tape"))
    with Tape(folder, record="none"), Cartesia() as client:
        assert say(client, "One, ", "and two.", add_timestamps=True) == said


class _Listener:
    """A service of speech-to-text: it says how many bytes came, and at the end in bytes, too."""

    def __enter__(self) -> _Listener:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        async def listen(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            count = 0
            async for frame in socket:
                if isinstance(frame.data, bytes):
                    count += len(frame.data)
                    continue
                await socket.send_str(json.dumps({"type": "transcript", "text": f"{count} bytes", "told": frame.data}))
                if frame.data == "done":
                    await socket.send_bytes(b"\0\1")
                    await socket.close(code=4000)
            return socket

        application = web.Application()
        application.router.add_get("/stt/websocket", listen)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self.stop.wait()
        await runner.cleanup()


def test_speech_to_text_however_the_audio_is_cut(folder: Path) -> None:
    audio = bytes(range(250)) * 8

    def program(url: str, step: int) -> list[Any]:
        query = "encoding=pcm_s16le&sample_rate=16000"
        socket = websocket.create_connection(f"ws{url[4:]}/stt/websocket?{query}", timeout=10)
        with contextlib.closing(socket.sock):
            return listen_to(socket, step)

    def listen_to(socket: websocket.WebSocket, step: int) -> list[Any]:
        heard: list[Any] = []
        for start in range(0, len(audio), step):
            socket.send_binary(audio[start : start + step])
        socket.send("finalize")
        heard.append(socket.recv())
        socket.send_binary(audio)
        socket.send("done")
        return [*heard, socket.recv(), socket.recv(), socket.recv_data()]

    with _Listener() as listener, Tape(folder, service=listener.url) as recording:
        recorded = program(recording.url, 500)
    assert "2000 bytes" in recorded[0]
    assert recorded[2:] == [b"\0\1", (8, (4000).to_bytes(2, "big"))]
    with Tape(folder) as replay:
        assert program(replay.url, 125) == recorded
    assert [path.name for path in sorted(folder.iterdir())] == ["001.raw.wav", "002.bytes", "tape.jsonl"]
    audio = audio[::-1]
    replay = Tape(folder).start()
    with pytest.raises((AssertionError, OSError, websocket.WebSocketException)):
        assert program(replay.url, 500) == recorded
    replay.stop()
    assert isinstance(replay.problem, TapeMismatchError)


@pytest.mark.parametrize("is_tls", [False, True])
def test_by_tls_and_past_a_proxy_that_is_not_for_this_machine(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_tls: bool
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with LocalServer(engine="signal", ssl_context=context if is_tls else None) as server:
        monkeypatch.setenv("CARTESIA_API_KEY", KEY)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "http://192.0.2.1:1")  # of another machine
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with tape(folder, service=server.url):
            recorded = everything()
    with Tape(folder, record="none"):
        assert everything() == recorded
