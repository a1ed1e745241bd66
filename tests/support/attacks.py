"""What was tried against the local server: each attack is a function of a server, which runs in a process of its own.

Run by hand, this makes a table: what each attack got, what a bystander waited meanwhile, and the memory before, at its
most, and after.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Callable, NamedTuple, Optional

import requests

from .far_end import frame

BOUND = 60.0
"""Seconds within which an attack is over; to reach it is a failure."""

VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
MIB = 1024**2
RAW = {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 48000}
UPGRADE = (
    b"GET /tts/websocket?api_key=x HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

_SERVER = """
import json, os, sys, threading
from cartesia_sync.local import LocalServer, memory
from cartesia_sync.local.faults import Hold

given_back = threading.Event()
give_back = memory.GiveBack._give_back

def noticed(self, trim):
    give_back(self, trim)
    given_back.set()

memory.GiveBack._give_back = noticed

def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def children():
    found = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/children") as file:
            found += file.read().split()
    return found

with LocalServer(**json.loads(sys.argv[1])) as server:
    print(server.url, flush=True)
    for line in sys.stdin:
        if line == "settle\\n":
            server.wait_for(lambda server: server.open_connections == 0, 30)
            given_back.clear()
            given_back.wait(3)  # in vain where it was before: nothing has ended since
        elif line == "forget\\n":
            server.forget()
        print(sum(map(resident, ["self", *children()])), flush=True)
"""


class Attacked:
    """A local server in a process of its own, whose memory can be asked for.

    Args:
        **options: The server's.
    """

    def __init__(self, **options: Any) -> None:
        command = [sys.executable, "-c", _SERVER, json.dumps({"engine": "signal", "record": False, **options})]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._stderr: list[str] = []
        self._reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._reader.start()
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, "".join(self._stderr)
        self.address = ("127.0.0.1", int(self.url.rpartition(":")[2]))
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["X-API-Key"] = "any"

    def __enter__(self) -> Attacked:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.session.close()
        with self.process:
            assert self.process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            try:
                self.process.wait(BOUND)
            finally:
                self.process.kill()
                self._reader.join(BOUND)

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        self._stderr.extend(self.process.stderr)

    @property
    def printed(self) -> str:
        """What it has written to stderr: tracebacks are bugs."""
        return "".join(self._stderr)

    def resident(self, word: str = "now") -> int:
        """Return how many bytes it and its children hold.

        Args:
            word: ``"settle"``: wait until all sockets are gone, and collect; ``"forget"``: forget what is recorded.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    # ---- the ways in

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=BOUND, **options)

    def speak(self, text: str, path: str = "/tts/bytes", **fields: Any) -> requests.Response:
        return self.ask("POST", path, json=speech(text, **fields))

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, BOUND)

    def dial(self) -> socket.socket:
        raw = self.connect()
        raw.sendall(UPGRADE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += raw.recv(1)
        assert head.startswith(b"HTTP/1.1 101"), head
        return raw


def speech(text: str, **fields: Any) -> dict[str, Any]:
    return {"model_id": "sonic-3", "transcript": text, "voice": VOICE, "output_format": RAW, **fields}


def message(context_id: str, text: str, **fields: Any) -> bytes:
    return masked(json.dumps(speech(text, context_id=context_id, **fields)).encode())


def masked(data: bytes, *, opcode: int = 1, fin: bool = True) -> bytes:
    return frame(data, opcode, fin=fin, mask=b"\0\0\0\0")


def events(raw: socket.socket) -> Iterator[dict[str, Any]]:
    """Read the events that come, until the connection ends."""
    with raw.makefile("rb") as file:
        while True:
            head = file.read(2)
            if len(head) < 2 or head[0] & 0x0F == 8:
                return
            size = head[1]
            if size >= 126:
                size = int.from_bytes(file.read(2 if size == 126 else 8), "big")
            data = file.read(size)
            if head[0] & 0x0F == 1:
                yield json.loads(data)


def wav(rate_hz: int, size: int, *, channels: int = 1, width: int = 2) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(bytes(size))
    return out.getvalue()


def voice_changer_form(rate_hz: int = 48000) -> dict[str, str]:
    return {
        "voice[id]": VOICE,
        "output_format[container]": "raw",
        "output_format[encoding]": "pcm_f32le",
        "output_format[sample_rate]": str(rate_hz),
    }


def changed(server: Attacked, clip: bytes, rate_hz: int = 48000, path: str = "/voice-changer/bytes") -> int:
    with server.ask(
        "POST",
        path,
        data=voice_changer_form(rate_hz),
        files={"clip": ("c.wav", clip)},
        stream=True,
    ) as answer:
        for _ in answer.iter_content(MIB):
            pass
        return answer.status_code


@contextlib.contextmanager
def _beside(work: Callable[[], None]) -> Iterator[None]:
    """Let a thread do something meanwhile; wait for its end."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join(BOUND)
    assert not thread.is_alive()


def _counted(raw: socket.socket, found: dict[Any, int]) -> Callable[[], None]:
    """Return what counts events by their kind, until the one of the context ``last``."""

    def read() -> None:
        for event in events(raw):
            key = event.get("error_code") or event.get("title") or event["type"]
            found[key] = found.get(key, 0) + 1
            if event.get("context_id") == "last" and event["type"] != "chunk":
                return

    return read


_LAST = masked(json.dumps({"context_id": "last", "nonsense": 1}).encode())


# ---- the attacks; each returns what it got


def odd_rates(server: Attacked) -> Any:
    """Twenty small WAVs at rates that nobody uses."""
    return {changed(server, wav(rate, 4096)) for rate in range(7919, 191_999, 9203)}


def breaks_nobody_reads(server: Attacked) -> Any:
    """Four transcripts of long breaks, on sockets that are not read."""
    text = "One" + '<break time="30s"/>' * 24 + " two. "
    raws = [server.dial() for _ in range(4)]
    for raw in raws:
        raw.sendall(message("a", text * 50))
    return raws


def many_streams_nobody_reads(server: Attacked) -> Any:
    """Three hundred contexts on one socket that is not read."""
    raw = server.dial()
    raw.sendall(b"".join(message(f"c{number}", "A sentence of a few words. " * 20) for number in range(300)))
    return [raw]


def answers_nobody_reads(server: Attacked) -> Any:
    """The same breaks over HTTP."""
    body = json.dumps(speech("One" + '<break time="30s"/>' * 24 + " two. " * 50)).encode()
    raws = []
    for path in ("/tts/bytes", "/tts/sse", "/tts/bytes", "/tts/sse"):
        raws.append(server.connect())
        raws[-1].sendall(
            f"POST {path}?api_key=x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
    return raws


def unfinished_fragments(server: Attacked) -> Any:
    """Eight messages of 15 MiB whose end does not come."""
    raws = [server.dial() for _ in range(8)]
    for raw in raws:
        raw.sendall(masked(b"x" * (15 * MIB), fin=False))
    return raws


def many_contexts(server: Attacked) -> Any:
    """A hundred thousand contexts on one socket, each with text that waits for more."""
    raw = server.dial()
    found: dict[Any, int] = {}
    fields = {"continue": True, "max_buffer_delay_ms": 5000}
    with _beside(_counted(raw, found)):
        for start in range(0, 100_000, 1000):
            raw.sendall(b"".join(message(f"c{number}", "And", **fields) for number in range(start, start + 1000)))
        raw.sendall(_LAST)
    raw.close()
    return found


def text_that_waits(server: Attacked) -> Any:
    """Text for ten contexts, faster than it is spoken."""
    raw = server.dial()
    found: dict[Any, int] = {}
    with _beside(_counted(raw, found)):
        for number in range(100):
            raw.sendall(message(f"c{number % 10}", "Oh. " * 250_000, **{"continue": True}))
        raw.sendall(_LAST)
    raw.close()
    return found


def long_ids(server: Attacked) -> Any:
    """Ids of a megabyte, each of which ends in an error."""
    raw = server.dial()
    found: dict[Any, int] = {}

    def read() -> None:
        for event in itertools.islice(events(raw), 100):
            found[event["title"]] = found.get(event["title"], 0) + 1

    with _beside(read):
        for number in range(100):
            raw.sendall(message(f"{number}" + "x" * MIB, "Hello.", model_id="none"))
    raw.close()
    return found


def long_values(server: Attacked) -> Any:
    """Values of 15 MB that an error might repeat; nobody reads the errors at first."""
    raw = server.dial()
    for _ in range(10):
        raw.sendall(message("a", "Hello.", model_id="x" * (15 * MIB)))
    got = events(raw)
    largest = 0
    for _ in range(10):
        largest = max(largest, len(json.dumps(next(got))))
    raw.close()
    return largest


def gzip_bomb(server: Attacked) -> Any:
    """A megabyte that inflates to one gigabyte, with a credential and without."""
    packed = gzip.compress(bytes(64 * MIB), 9) * 16
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    return [
        server.ask("POST", "/tts/bytes", data=packed, headers={**headers, **key}).status_code
        for key in ({}, {"X-API-Key": ""})
    ]


def large_json(server: Attacked) -> Any:
    """Sixty megabytes of JSON, with a credential and without."""
    data = b'{"a":[' + b"[]," * (20 * MIB) + b"[]]}"
    found = []
    for key in ("x", ""):
        head = (
            f"POST /tts/bytes HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        with server.connect() as raw:
            with contextlib.suppress(ConnectionError):
                raw.sendall(head.encode())
                raw.sendall(data)
            with contextlib.suppress(ConnectionError):
                found.append(raw.recv(12)[9:12].decode())
    return found


def json_of_many_values(server: Attacked) -> Any:
    """A megabyte of empty lists, on both transports."""
    data = b'{"context_id":"a","a":[' + b"[]," * 340_000 + b"[]]}"
    with server.dial() as raw:
        raw.sendall(masked(data))
        event = next(events(raw))
    return [server.ask("POST", "/tts/bytes", data=data).status_code, event["title"]]


def long_numbers(server: Attacked) -> Any:
    """Numbers of five thousand digits, wherever a number may stand."""
    digits = "9" * 5000
    found = {
        server.ask("GET", f"/voices?limit={digits}").status_code,
        server.ask("POST", "/access-token", data=f'{{"expires_in":{digits}}}').status_code,
        server.ask(
            "POST",
            "/infill/bytes",
            data={"voice_id": VOICE, "output_format[sample_rate]": digits, "model_id": "sonic-3", "transcript": "x"},
            files={"left_audio": b"x"},
        ).status_code,
        server.ask("POST", "/tts/bytes", data=json.dumps(speech("One.")).replace("48000", digits)).status_code,
    }
    with server.dial() as raw:
        for field in ("max_buffer_delay_ms", "duration"):
            text = json.dumps(speech("One.", context_id="a", **{field: 1}))
            raw.sendall(masked(text.replace(f'"{field}": 1', f'"{field}": {digits}').encode()))
            found.add(next(events(raw)).get("status_code", 0))
    return found


def broken_forms(server: Attacked) -> Any:
    """Multipart cut in a header, unknown charsets and transfer encodings, and no boundary."""
    head = b'--x\r\nContent-Disposition: form-data; name="name"'
    bodies = [
        head,
        head + b"\r\nContent-Type: text/plain; charset=klingon\r\n\r\nMine\r\n--x--\r\n",
        head + b"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xff\xfe\r\n--x--\r\n",
        head + b"\r\nContent-Transfer-Encoding: rot13\r\n\r\nMine\r\n--x--\r\n",
        head + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!\r\n--x--\r\n",
        head + b"\r\nContent-Encoding: gzip\r\n\r\nMine\r\n--x--\r\n",
        head + b'; filename="f"\r\nContent-Encoding: deflate\r\n\r\nMine\r\n--x--\r\n',
        head + b"\r\nContent-Length: -1\r\n\r\nMine\r\n--x--\r\n",
        head + b"\r\nContent-Length: x\r\n\r\nMine\r\n--x--\r\n",
        head + b"\r\n\r\nMine\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\nMine\r\n--x--\r\n",
        b"--x\r\n\r\nMine\r\n--x--\r\n",
        b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\nz\r\n--y--\r\n--x--\r\n",
        b"--x\r\nX: " + b"y" * 20_000 + b"\r\n\r\nMine\r\n--x--\r\n",
        b"--x\r\n" + b"".join(b"X%d: y\r\n" % number for number in range(2000)) + b"\r\nMine\r\n--x--\r\n",
        b"",
        b"nothing",
    ]
    found = []
    for content_type in ("multipart/form-data; boundary=x", "multipart/form-data", "multipart/form-data; boundary="):
        for body in bodies:
            answer = server.ask("POST", "/voices/clone", data=body, headers={"Content-Type": content_type})
            found.append((answer.status_code, answer.headers["Content-Type"].partition(";")[0]))
    return set(found)


def broken_http(server: Attacked) -> Any:
    """What aiohttp itself refuses."""
    found = set()
    for sent in (
        b"GET / HTTP/9.9\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 10_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Name: x\r\n\r\n",
        b"POST /tts/bytes?api_key=x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /tts/bytes?api_key=x HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n{}",
        UPGRADE.replace(b"Version: 13", b"Version: 99"),
        UPGRADE.replace(b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", b""),
        UPGRADE.replace(b"Key: AAAAAAAAAAAAAAAAAAAAAA==", b"Key: short"),
    ):
        with server.connect() as raw:
            raw.sendall(sent)
            head = b""
            while b"\r\n\r\n" not in head:
                received = raw.recv(65536)
                head += received
                if not received:
                    break
            status = head[9:12].decode()
            kind = re.search(rb"Content-Type: ([^;\r]+)", head)
            found.add((status, kind.group(1).decode() if kind else "", b'"title"' in head or b"\r\n\r\n{" in head))
    return found


def long_alias(server: Attacked) -> Any:
    """A dictionary whose alias is 20 KB, and a text that has the word many times."""
    made = server.ask(
        "POST", "/pronunciation-dicts/", json={"name": "x", "items": [{"text": "a", "alias": "ba na " * 3400}]}
    )
    assert made.status_code == 200, made.text
    with server.dial() as raw:
        fields = {"pronunciation_dict_id": made.json()["id"], "add_timestamps": True}
        raw.sendall(message("a", "a a a", **fields))
        first = next(events(raw))["type"]
    with server.dial() as raw:
        raw.sendall(message("a", "a " * 200, **fields))
        return first, next(events(raw))["type"]


def large_dictionary(server: Attacked) -> Any:
    """As many items as a megabyte holds."""
    items = [{"text": f"w{number}", "alias": "x"} for number in range(12_000)]
    made = server.ask("POST", "/pronunciation-dicts/", json={"name": "x", "items": items})
    if made.status_code != 200:
        return made.status_code
    with server.dial() as raw:
        for number in range(5):
            raw.sendall(message(f"c{number}", "One w1 two.", pronunciation_dict_id=made.json()["id"]))
        return next(events(raw))["type"]


def begin_large_upload(server: Attacked) -> requests.Response:
    """Send the largest WAV that is taken; return the answer, of which a hundred megabytes are read."""
    answer = server.ask(
        "POST",
        "/voice-changer/bytes",
        data=voice_changer_form(),
        files={"clip": ("c.wav", wav(8000, 99 * MIB, width=1))},
        stream=True,
    )
    assert answer.status_code == 200, answer.text
    for _ in itertools.islice(answer.iter_content(MIB), 100):
        pass
    return answer


def large_upload(server: Attacked) -> Any:
    """The largest WAV that is taken, whose answer would be gigabytes."""
    with begin_large_upload(server) as answer:
        return answer.status_code


def large_records(server: Attacked) -> Any:
    """Uploads and messages that a server that records would keep."""
    for _ in range(6):
        changed(server, bytes(40 * MIB))
    with server.dial() as raw:
        for _ in range(20):
            raw.sendall(masked(b"x" * (8 * MIB)))
            next(events(raw))
    for _ in range(20):
        server.ask("POST", "/tts/bytes", data=b'"' + b"y" * (MIB - 2) + b'"')
    return "sent"


def many_records_of_the_store(server: Attacked) -> Any:
    """Dictionaries of a megabyte, one after the other."""
    body = json.dumps({"name": "x", "items": [{"text": "a", "alias": "b" * 1_000_000}]})
    found: dict[int, int] = {}
    for _ in range(300):
        status = server.ask("POST", "/pronunciation-dicts/", data=body).status_code
        found[status] = found.get(status, 0) + 1
    return found


def storms(server: Attacked) -> Any:
    """Flushes, cancels and pings, ten thousand of each."""
    raw = server.dial()
    found: dict[Any, int] = {}
    flush = message("a", "", flush=True, **{"continue": True})
    cancel = masked(json.dumps({"context_id": "b", "cancel": True}).encode())
    with _beside(_counted(raw, found)):
        raw.sendall(message("a", "One.", **{"continue": True}))
        for _ in range(100):
            raw.sendall((flush + cancel + masked(b"x", opcode=9)) * 100)
        raw.sendall(_LAST)
    raw.close()
    return found


def many_parts(server: Attacked) -> Any:
    """A form of a hundred thousand parts."""
    part = b'--x\r\nContent-Disposition: form-data; name="n%d"\r\n\r\ny\r\n'
    body = b"".join(part % number for number in range(100_000)) + b"--x--\r\n"
    head = {"Content-Type": "multipart/form-data; boundary=x"}
    return server.ask("POST", "/voices/clone", data=body, headers=head).status_code


def idle_sockets(server: Attacked) -> Any:
    """Five hundred sockets that say nothing."""
    return [server.dial() for _ in range(500)]


class Outcome(NamedTuple):
    """What an attack got, the longest that a bystander waited meanwhile (s), and bytes before, at most, and after."""

    got: Any
    waited: float
    before: int
    peak: int
    after: int


ATTACKS: dict[str, tuple[Callable[[Attacked], Any], dict[str, Any]]] = {
    attack.__name__: (attack, options)
    for attack, options in (
        (odd_rates, {}),
        (breaks_nobody_reads, {}),
        (many_streams_nobody_reads, {}),
        (answers_nobody_reads, {}),
        (unfinished_fragments, {}),
        (many_contexts, {}),
        (text_that_waits, {}),
        (long_ids, {}),
        (long_values, {}),
        (gzip_bomb, {}),
        (large_json, {}),
        (json_of_many_values, {}),
        (long_numbers, {}),
        (broken_forms, {}),
        (broken_http, {}),
        (long_alias, {"engine": "auto"}),
        (large_dictionary, {}),
        (large_upload, {}),
        (large_records, {"record": True}),
        (many_records_of_the_store, {}),
        (storms, {}),
        (many_parts, {}),
        (idle_sockets, {}),
    )
}


class Bystander:
    """Asks for the status, or for a text, again and again; remembers the longest wait and the most memory."""

    def __init__(self, server: Attacked, text: Optional[str] = None) -> None:
        self._text = text
        self.longest = 0.0
        self.peak = 0
        self.count = 0
        self._server = server
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(BOUND)

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not self._is_over.is_set():
                began = time.monotonic()
                if self._text is None:
                    session.get(self._server.url + "/", timeout=BOUND)
                else:
                    body, key = speech(self._text), {"X-API-Key": "x"}
                    session.post(self._server.url + "/tts/bytes", json=body, headers=key, timeout=BOUND)
                self.longest = max(self.longest, time.monotonic() - began)
                self.count += 1
                self.peak = max(self.peak, _resident_of(self._server.process.pid))


bystander = Bystander


@contextlib.contextmanager
def drained(raw: socket.socket) -> Iterator[None]:
    """Read what comes, and throw it away; close the socket at the end."""

    def read() -> None:
        with contextlib.suppress(OSError):
            while raw.recv(MIB):
                pass

    with _beside(read):
        try:
            yield
        finally:
            raw.shutdown(socket.SHUT_RDWR)
    raw.close()


def _resident_of(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(name: str) -> tuple[Outcome, str]:
    """Run one attack against a server of its own; return what came of it, and what the server printed."""
    attack, options = ATTACKS[name]
    with Attacked(**options) as server:
        # A server that has worked: what it loads at first is no leak.
        assert server.speak("One. Two.").status_code == 200
        assert changed(server, wav(8000, 16000)) == 200
        before = server.resident("settle")
        with bystander(server) as beside:
            got = attack(server)
            if isinstance(got, list) and got and isinstance(got[0], socket.socket):
                time.sleep(2)  # by hand: let them hold what they can
                for raw in got:
                    raw.close()
                got = f"{len(got)} sockets"
        after = server.resident("settle")
        if options.get("record"):
            server.resident("forget")
            after = server.resident("settle")
        printed = server.printed
    return Outcome(got, beside.longest, before, max(beside.peak, after), after), printed


def main(names: list[str]) -> int:
    """Print the table."""
    print("| attack | what it got | a bystander waited | MiB before | at most | after |")
    print("|---|---|---|---|---|---|")
    for name in names or ATTACKS:
        try:
            outcome, printed = run(name)
        except Exception as exc:  # by hand: the others are run nevertheless
            print(f"| {name} | {type(exc).__name__}: {str(exc)[:100]} | | | | |", flush=True)
            continue
        sizes = " | ".join(f"{size / MIB:.0f}" for size in (outcome.before, outcome.peak, outcome.after))
        trace = f" (tracebacks: {printed.count('Traceback')})" if "Traceback" in printed else ""
        print(f"| {name} | {outcome.got}{trace} | {outcome.waited:.2f} s | {sizes} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
