"""The server as a whole: started, asked from any thread, stopped in any state, and nothing left of it."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest
from websockets.exceptions import ConnectionClosed

import cartesia_sync.local
from cartesia_sync.local import Hold, LocalServer, Refuse, Silence, StopReading, faults

BOUND = 10.0
Dial = Callable[..., Any]


def children() -> set[int]:
    """The processes that this one has started and that have not been reaped."""
    listed = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(number) for path in listed for number in path.read_text().split()}


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux for its children")


def test_it_listens_where_it_says() -> None:
    with LocalServer() as server:
        assert server.host == "127.0.0.1"
        assert server.port > 0
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.websocket_url == f"ws://127.0.0.1:{server.port}"
        assert repr(server) == f"<LocalServer {server.url} listening>"
        socket.create_connection((server.host, server.port), BOUND).close()
    assert repr(server) == f"<LocalServer {server.url} stopped>"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), BOUND)


def test_servers_stand_side_by_side(dial: Dial) -> None:
    with LocalServer() as one, LocalServer() as other:
        dial(one)
        assert len(one.handshakes) == 1
        assert other.handshakes == []


def test_a_taken_port_is_an_os_error() -> None:
    with LocalServer() as server, pytest.raises(OSError, match=str(server.port)):
        LocalServer(port=server.port).start()


def test_stop_may_be_called_again_and_before_start() -> None:
    server = LocalServer()
    server.stop()
    server.stop()
    with pytest.raises(RuntimeError):
        server.start()
    server = LocalServer().start()
    with pytest.raises(RuntimeError):
        server.start()
    with ThreadPoolExecutor() as pool:
        for stopped in [pool.submit(server.stop) for _ in range(4)]:
            stopped.result(BOUND)
    with pytest.raises(RuntimeError):
        server.start()
    with pytest.raises(RuntimeError):
        server.drop_connections()


def test_what_was_seen_can_be_read_after_the_end(dial: Dial) -> None:
    with LocalServer() as server:
        dial(server).send("x")
        server.wait_for(lambda server: bool(server.heard), BOUND)
    assert len(server.handshakes) == 1
    assert server.heard == [(0, "x")]
    assert server.open_connections == 0


@needs_proc
@pytest.mark.parametrize("state", ["idle", "speaking", "held", "silent", "deaf", "waiting", "half-open", "full"])
def test_stop_leaves_nothing_whatever_is_going_on(dial: Dial, state: str, tmp_path: Path, monkeypatch: Any) -> None:
    """The threads and sockets are counted by the fixture of all tests."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = children()
    given = {"held": [Hold(threading.Event())], "silent": [Silence()], "deaf": [StopReading(after=1)]}.get(state, [])
    raw = None
    with LocalServer(faults=given, expiry=None, pace=0.01 if state == "speaking" else None) as server:
        peer = dial(server)
        peer.ask("a", "Hello. This is long enough to be in the middle of it.", continue_=True)
        if state in ("speaking", "idle", "waiting", "deaf"):
            peer.event()
        if state == "waiting":
            peer.ask("a", "held text", continue_=True, max_buffer_delay_ms=5000)
        if state == "full":  # the peer's buffers and the socket's: nobody reads, and much is to be sent
            form = {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 48000}
            peer.ask("b", "This is a sentence that takes a while to say. " * 50, output_format=form)
            server.wait_for(lambda server: len(server.heard) == 2, BOUND)
        if state == "half-open":
            raw = socket.create_connection((server.host, server.port), BOUND)
            raw.sendall(b"GET /tts/websocket HTTP/1.1\r\n")
        server.wait_for(lambda server: bool(server.heard), BOUND)
    if raw is not None:
        raw.close()
    assert children() <= before
    assert list(tmp_path.iterdir()) == []


def test_stop_closes_connections_as_one_that_goes_away(dial: Dial) -> None:
    with LocalServer() as server:
        peer = dial(server)
    with pytest.raises(ConnectionClosed) as caught:
        peer.event()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001


@pytest.mark.parametrize(
    ("arguments", "code"), [({"code": 4000, "reason": "why not"}, 4000), ({"reset": True}, None), ({}, None)]
)
def test_connections_can_be_dropped(dial: Dial, arguments: dict[str, Any], code: Any) -> None:
    with LocalServer() as server:
        peers = [dial(server) for _ in range(3)]
        server.drop_connections(**arguments)
        for peer in peers:
            with pytest.raises(ConnectionClosed) as caught:
                peer.event()
            received = caught.value.rcvd
            assert (received.code if received else None) == code
            reset = isinstance(caught.value.__cause__, ConnectionResetError)
            assert reset is arguments.get("reset", False)
        server.wait_for(lambda server: server.open_connections == 0, BOUND)
        dial(server)


def test_faults_come_and_go_while_it_runs(dial: Dial) -> None:
    with LocalServer() as server:
        dial(server)
        server.inject(Refuse(503, times=None), Refuse(500))
        with pytest.raises(Exception, match="503"):
            dial(server)
        server.clear_faults()
        dial(server)


def test_wait_for_is_woken_and_is_bounded(dial: Dial) -> None:
    with LocalServer() as server:
        with ThreadPoolExecutor() as pool:
            waiter = pool.submit(server.wait_for, lambda server: server.open_connections == 1, BOUND)
            peer = dial(server)
            waiter.result(BOUND)
        peer.websocket.close()
        server.wait_for(lambda server: server.open_connections == 0, BOUND)
        with pytest.raises(TimeoutError):
            server.wait_for(lambda server: False, 0.01)


def test_without_records_nothing_is_kept(dial: Dial) -> None:
    with LocalServer(record=False) as server:
        peer = dial(server)
        peer.send("x")
        peer.event()
        assert server.handshakes == []
        assert server.heard == []


@pytest.mark.parametrize(
    "wrong", [{"chunk_bytes": 3}, {"pace": 0}, {"pace": -1.0}, {"concurrency_limit": 0}, {"engine": "parrot"}]
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LocalServer(**wrong)


def test_many_contexts_on_many_connections(dial: Dial) -> None:
    def speak(peer: Any) -> int:
        for number in range(10):
            peer.ask(f"c{number}", f"Hello number {number}.")
        return sum(event["type"] == "done" for event in peer.until(*(f"c{number}" for number in range(10))))

    with LocalServer() as server, ThreadPoolExecutor() as pool:
        peers = [dial(server) for _ in range(8)]
        assert list(pool.map(speak, peers)) == [10] * 8


def test_all_that_is_public_is_exported() -> None:
    assert set(faults.__all__) < set(cartesia_sync.local.__all__)
    for name in cartesia_sync.local.__all__:
        assert getattr(cartesia_sync.local, name).__doc__, name


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("library", ["aiohttp", "jwt", "soxr"])
def test_without_its_libraries_the_import_says_what_to_install(library: str) -> None:
    ended = run_python(f"import sys; sys.modules[{library!r}] = None; import cartesia_sync.local")
    assert "ImportError" in ended.stderr
    assert "pip install 'cartesia-sync[local]'" in ended.stderr


def test_it_takes_nothing_from_the_client() -> None:
    rooms = ["protocol", "transport", "streaming", "resources", "client", "audio", "cli", "errors"]
    ended = run_python(
        "import sys, types\n"
        "package = types.ModuleType('cartesia_sync')\n"
        f"package.__path__ = [{str(Path(cartesia_sync.local.__file__).parent.parent)!r}]\n"
        "sys.modules['cartesia_sync'] = package\n"  # so that the package's own imports do not count
        "import cartesia_sync.local\n"
        f"taken = [name for name in sys.modules for room in {rooms!r} if name.startswith('cartesia_sync.' + room)]\n"
        "assert not taken, taken\n"
        "assert 'websocket' not in sys.modules and 'requests' not in sys.modules\n"
    )
    assert ended.returncode == 0, ended.stderr


def test_a_forgotten_server_does_not_hold_the_interpreter_nor_leave_its_process() -> None:
    ended = run_python(
        "import asyncio\n"
        "from cartesia_sync.local import LocalServer\n"
        "from cartesia_sync.local.voice.audio_format import AudioFormat\n"
        "from cartesia_sync.local.voice.speech import Voice\n"
        "from cartesia_sync.local.voice.transcript import Phrase, Style\n"
        "server = LocalServer().start()\n"
        "audio_format = AudioFormat('pcm_s16le', 8000)\n"
        "speech = server._speaker.speak([Phrase('Hello.', Style())], Voice('en-us', 'f1'), audio_format)\n"
        "asyncio.run_coroutine_threadsafe(speech, server._loop).result(10)\n"
        "process = getattr(server._speaker._engine, '_process', None)\n"
        "print(process.pid if process else 0)\n"
    )
    assert ended.returncode == 0, ended.stderr
    pid = int(ended.stdout)
    if pid and hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        # It is on its way out: its stdin has ended.
        import select

        assert select.select([descriptor], [], [], BOUND)[0]
        os.close(descriptor)


@pytest.mark.parametrize(("host", "client"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("", "127.0.0.1")])
def test_the_url_is_never_a_wildcard(host: str, client: str) -> None:
    server = LocalServer(host=host, allow_anyone=True, port=7)
    server.stop()
    assert (server.url, server.websocket_url) == (f"http://{client}:7", f"ws://{client}:7")
    assert f"{client}:7" in repr(server)


def test_a_server_that_others_reach_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with LocalServer(engine="signal", host="0.0.0.0", api_keys={"s3cret"}):
        pass
    assert ["other machines reach" in record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "s3cret" not in caplog.text
    caplog.clear()
    with LocalServer(engine="signal"):
        pass
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_name_is_what_it_leads_to(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def find(host: Any, *arguments: Any, **options: Any) -> Any:
        known = {"near.example": "127.0.0.1", "far.example": "0.0.0.0"}
        return look_up(known.get(host, host), *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", find)
    with pytest.raises(ValueError, match=r"far\.example.*--api-key"):
        LocalServer(engine="signal", host="far.example").start()
    with LocalServer(engine="signal", host="far.example", allow_anyone=True) as server:
        assert status_of(server.port, Origin="https://evil.example") == 200
    with LocalServer(engine="signal", host="near.example") as server:
        assert server.url == f"http://near.example:{server.port}"
        assert status_of(server.port, Host="near.example") == 200
        assert status_of(server.port, Origin="https://evil.example") == 403


def status_of(port: int, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=BOUND)
    try:
        connection.request("GET", "/", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
