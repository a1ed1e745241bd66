"""Through a proxy that stalls and goes on, or asks who one is: nothing is lost, and the key is not seen on the way."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import struct
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Optional

import pytest
import trustme
from cryptography import x509

from cartesia_sync import APIConnectionError, Cartesia, Timeout, TruncatedError
from cartesia_sync.streaming.connection import Connection
from cartesia_sync.streaming.context import Context
from cartesia_sync.types import RawOutputFormatParam

from ...support.peer import BOUND, PING, PONG, TEXT, Far, Peer, Said, Script, Trust, chunk, done, frame
from ...support.proxy import Passage, Proxy, Way
from ..conftest import Waits

KEY = "sk_car_test_not_for_the_proxy"
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
FORMAT: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
CLOCKS = Timeout(connect=BOUND, write=2 * BOUND, first_event=2 * BOUND, gap=2 * BOUND, close=BOUND)
LONG = "la " * (3 << 20)
"""A text of nine megabytes: more than the system's buffers hold."""
CONTEXTS = 8
ROUNDS = 4
CHUNK_BYTES = 10_000

Serve = Callable[..., Peer]
Link = tuple[Connection, Passage]
transports = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


# ---- the service


def audio_of(context_id: str, text: str) -> bytes:
    """Return what the service speaks: no two contexts alike, and no byte where another one belongs."""
    return hashlib.shake_128(f"{context_id}/{text}".encode()).digest(ROUNDS * CHUNK_BYTES)


def receive_text(far: Far) -> tuple[str, str]:
    said = far.hear()
    assert said.opcode == TEXT
    request = json.loads(said.data)
    return request["context_id"], request["transcript"]


def speak(far: Far, texts: dict[str, str]) -> None:
    """Speak all of them by turns, with a ping in each round."""
    for number in range(ROUNDS):
        for context_id, text in texts.items():
            start = number * CHUNK_BYTES
            far.send(chunk(context_id, audio_of(context_id, text)[start : start + CHUNK_BYTES]))
        far.send(frame(str(number).encode(), PING))
    far.send(*map(done, texts))


def speaking(count: int) -> Script:
    """Hear the texts of so many contexts, speak them, and have the pings answered."""

    def script(far: Far) -> None:
        far.upgrade()
        speak(far, dict(receive_text(far) for _ in range(count)))
        assert far.part() == [Said(PONG, str(number).encode()) for number in range(ROUNDS)]

    return script


def listening(far: Far) -> None:
    """Accept the upgrade, and wait for the client to go."""
    far.upgrade()
    far.part()


# ---- the client, and what is between them


@pytest.fixture
def through(serve: Serve, trust: Trust) -> Iterator[Callable[..., Link]]:
    """Connect to a scripted service through a proxy; return the connection and its passage."""
    with ExitStack() as stack:

        def start(script: Script, *, tls: bool, **options: Any) -> Link:
            peer = serve(script, tls=trust.server if tls else None)
            proxy = stack.enter_context(Proxy(peer.port, **options))
            client = Cartesia(
                api_key=KEY,
                base_url=f"http{'s' if tls else ''}://127.0.0.1:{proxy.port}",
                ssl_context=trust.client,
                timeout=CLOCKS,
            )
            connection = stack.enter_context(client.tts.websocket_connect(reconnect=False))
            return connection, proxy.passage()

        yield start


def say(connection: Connection, context_id: str, text: str = "Hello.") -> Context:
    context = connection.context(context_id, voice=VOICE, output_format=FORMAT)
    context.push(text, continue_=False)
    return context


def ends_inside_a_frame(sent: bytes) -> bool:
    """Whether a server's bytes, its answer to the upgrade first, end in the middle of a WebSocket frame."""
    rest = sent.partition(b"\r\n\r\n")[2]
    while len(rest) >= 2:
        length = rest[1] & 0x7F
        head = {126: 4, 127: 10}.get(length, 2)
        if head > 2:
            length = int.from_bytes(rest[2:head], "big")
        if len(rest) < head + length:
            return True
        rest = rest[head + length :]
    return bool(rest)


def ends_inside_a_record(sent: bytes) -> bool:
    """Whether bytes end in the middle of a TLS record."""
    while len(sent) >= 5:
        size = 5 + int.from_bytes(sent[3:5], "big")
        if len(sent) < size:
            return True
        sent = sent[size:]
    return bool(sent)


def stall_by_steps(way: Way, steps: list[int], waits: Waits, is_torn: Callable[[bytes], bool]) -> int:
    """Hand on so many bytes each time, and see the reader wait for more; return how often a frame was torn."""
    torn = 0
    for step in steps:
        waits.reader.clear()
        way.stall(after=step)
        way.wait_until_stalled()
        assert waits.reader.wait(BOUND)
        torn += is_torn(way.forwarded)
    return torn


# ---- it stalls, and goes on


@transports
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([1] * 80, id="at every byte"),
        pytest.param([13_339, 1, 2, 3, 12_347] * 5, id="at odd places"),
        pytest.param([100_000], id="once"),
    ],
)
def test_a_stall_in_the_middle_of_frames_loses_nothing(
    through: Callable[..., Link], threads: ThreadPoolExecutor, waits: Waits, tls: bool, steps: list[int]
) -> None:
    connection, passage = through(speaking(CONTEXTS), tls=tls)
    passage.to_client.stall()
    contexts = [say(connection, f"context-{number}") for number in range(CONTEXTS)]
    receiving = [threads.submit(context.audio) for context in contexts]
    torn = stall_by_steps(passage.to_client, steps, waits, ends_inside_a_record if tls else ends_inside_a_frame)
    assert torn > 0.8 * len(steps)
    assert not any(each.done() for each in receiving)
    passage.to_client.resume()
    for context, received in zip(contexts, receiving):
        assert received.result(BOUND) == audio_of(context.context_id, "Hello.")


@transports
def test_a_text_that_is_stalled_holds_up_nobody_who_receives_and_arrives_whole(
    through: Callable[..., Link], threads: ThreadPoolExecutor, waits: Waits, tls: bool
) -> None:
    """The writer waits in the middle of its frame, another one behind it; the reader reads on, and its pongs wait."""
    is_stuck = threading.Event()
    received: list[tuple[str, str]] = []

    def script(far: Far) -> None:
        far.upgrade()
        received.append(receive_text(far))
        assert is_stuck.wait(BOUND)
        far.send(frame(b"beat", PING))
        speak(far, dict(received))
        received.extend(receive_text(far) for _ in range(2))
        pongs = [far.hear() for _ in range(ROUNDS + 1)]
        assert pongs == [Said(PONG, b"beat"), *(Said(PONG, str(number).encode()) for number in range(ROUNDS))]
        speak(far, dict(received[1:]))
        far.part()

    connection, passage = through(script, tls=tls, small_buffers=True)
    short = say(connection, "short")
    receiving = threads.submit(short.audio)
    passage.to_server.stall(after=100_000)
    stuck = threads.submit(say, connection, "stuck", LONG)
    passage.to_server.wait_until_stalled()
    assert waits.writer.wait(BOUND)
    waits.writer.clear()
    behind = threads.submit(say, connection, "behind")
    assert waits.writer.wait(BOUND)  # so that it stands in line before any pong
    is_stuck.set()
    assert receiving.result(BOUND) == audio_of("short", "Hello.")
    assert not stuck.done()
    assert not behind.done()
    passage.to_server.resume()
    assert stuck.result(BOUND).audio() == audio_of("stuck", LONG)
    assert behind.result(BOUND).audio() == audio_of("behind", "Hello.")
    assert [context_id for context_id, _ in received] == ["short", "stuck", "behind"]
    assert received[1][1] == LONG


@transports
@pytest.mark.parametrize("first", ["to_client", "to_server"])
def test_a_stall_of_both_directions_at_once_loses_nothing_whichever_goes_on_first(
    through: Callable[..., Link], threads: ThreadPoolExecutor, waits: Waits, tls: bool, first: str
) -> None:
    text = LONG[:50_000]

    def receive_both(far: Far) -> None:
        """The pongs of the first speech may come before the second text, behind it, or on both sides of it."""
        far.upgrade()
        speak(far, dict([receive_text(far)]))
        said = far.hear()
        pongs = []
        while said.opcode == PONG:
            pongs.append(said)
            said = far.hear()
        request = json.loads(said.data)
        speak(far, {request["context_id"]: request["transcript"]})
        pongs += far.part()
        assert pongs == 2 * [Said(PONG, str(number).encode()) for number in range(ROUNDS)]

    connection, passage = through(receive_both, tls=tls)
    passage.to_client.stall(after=1001)
    one = threads.submit(say(connection, "one").audio)
    passage.to_client.wait_until_stalled()
    passage.to_server.stall(after=101)
    two = threads.submit(say(connection, "two", text).audio)
    passage.to_server.wait_until_stalled()
    assert waits.reader.wait(BOUND)
    assert not one.done()
    getattr(passage, first).resume()
    if first == "to_client":
        assert one.result(BOUND) == audio_of("one", "Hello.")
        assert not two.done()
    passage.resume()
    assert one.result(BOUND) == audio_of("one", "Hello.")
    assert two.result(BOUND) == audio_of("two", text)


@transports
@pytest.mark.parametrize("first_bytes", [0, 1, 50, 100])
def test_a_stall_in_the_middle_of_the_handshake_is_waited_for(
    serve: Serve, trust: Trust, threads: ThreadPoolExecutor, waits: Waits, tls: bool, first_bytes: int
) -> None:
    """Of TLS, or of the answer to the upgrade."""
    peer = serve(speaking(1), tls=trust.server if tls else None)
    with Proxy(peer.port, first_bytes=first_bytes) as proxy:
        client = Cartesia(
            api_key=KEY,
            base_url=f"http{'s' if tls else ''}://127.0.0.1:{proxy.port}",
            ssl_context=trust.client,
            timeout=CLOCKS,
        )
        entering = threads.submit(client.tts.websocket_connect().enter)
        way = proxy.passage().to_client
        way.wait_until_stalled()
        assert not entering.done()
        way.resume()
        with entering.result(BOUND) as connection:
            assert say(connection, "one").audio() == audio_of("one", "Hello.")


@transports
@pytest.mark.parametrize("end", [Passage.cut, Passage.reset])
def test_an_end_in_the_middle_of_a_stall_truncates_every_context(
    through: Callable[..., Link],
    threads: ThreadPoolExecutor,
    waits: Waits,
    tls: bool,
    end: Callable[[Passage], None],
) -> None:
    def script(far: Far) -> None:
        far.upgrade()
        texts = dict(receive_text(far) for _ in range(CONTEXTS))
        try:
            speak(far, texts)
        except OSError:
            return  # it has ended meanwhile
        far.wait_until_gone()

    def receive(context: Context) -> tuple[bytes, TruncatedError]:
        audio = bytearray()
        try:
            for event in context.receive():
                audio += getattr(event, "audio", b"")
        except TruncatedError as error:
            return bytes(audio), error
        raise AssertionError("it took a part for the whole")

    connection, passage = through(script, tls=tls)
    passage.to_client.stall()
    contexts = [say(connection, f"context-{number}") for number in range(CONTEXTS)]
    receiving: list[Future[tuple[bytes, TruncatedError]]] = [threads.submit(receive, context) for context in contexts]
    stall_by_steps(passage.to_client, [200_001], waits, ends_inside_a_frame)
    end(passage)
    for context, each in zip(contexts, receiving):
        audio, error = each.result(BOUND)
        assert audio_of(context.context_id, "Hello.").startswith(audio)
        assert (error.context_id, error.audio_bytes, error.code) == (context.context_id, len(audio), None)


# ---- it asks who one is


HOST = "service.invalid"
"""Known to the proxy alone."""


@pytest.fixture
def service(serve: Serve, authority: trustme.CA) -> Peer:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST, "127.0.0.1").configure_cert(server)
    return serve(speaking(1), tls=server)


@pytest.fixture
def http_proxy(service: Peer) -> Iterator[Proxy]:
    with Proxy(names={HOST: service.port}, credential="me:p@ss:w/rd") as proxy:
        yield proxy


def client_of(trust: Trust, host: str = HOST, port: int = 443) -> Cartesia:
    return Cartesia(
        api_key=KEY, base_url=f"https://{host}:{port}", ssl_context=trust.client, timeout=CLOCKS, max_retries=0
    )


def words_of(error: Optional[BaseException]) -> str:
    """Return all that an exception and those behind it would show or log."""
    words = []
    while error is not None:
        words += [str(error), repr(error), repr(error.args), repr(vars(error))]
        words += traceback.format_exception(type(error), error, error.__traceback__)
        error = error.__cause__ or error.__context__
    return "\n".join(words)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_asks_who_one_is_carries_who_it_knows(
    http_proxy: Proxy, trust: Trust, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, http_proxy.url("me:p%40ss%3Aw%2Frd"))
    with client_of(trust).tts.websocket_connect() as connection:
        assert say(connection, "one").audio() == audio_of("one", "Hello.")
    credential = base64.b64encode(b"me:p@ss:w/rd")
    request = b"CONNECT %b:443 HTTP/1.1\r\nHost: %b:443\r\n" % (HOST.encode(), HOST.encode())
    assert http_proxy.heads == [request + b"Proxy-Authorization: Basic " + credential + b"\r\n\r\n"]


def test_what_goes_through_a_proxy_tells_it_neither_the_key_nor_the_words(
    http_proxy: Proxy, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", http_proxy.url("me:p%40ss%3Aw%2Frd"))
    with client_of(trust).tts.websocket_connect() as connection:
        say(connection, "one").audio()
    seen = http_proxy.recorded()
    assert len(seen) > ROUNDS * CHUNK_BYTES
    assert HOST.encode() in seen
    for secret in (KEY, base64.b64encode(KEY.encode()).decode(), "Bearer", "Hello.", "transcript", "/tts/websocket"):
        assert secret.encode() not in seen


@pytest.mark.parametrize("credential", ["me:wr0ng-passw0rd", "wr0ng-passw0rd", ""])
def test_a_wrong_password_is_told_and_not_shown(
    http_proxy: Proxy, service: Peer, trust: Trust, monkeypatch: pytest.MonkeyPatch, credential: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", http_proxy.url(credential))
    with pytest.raises(APIConnectionError, match=r"refused the tunnel: HTTP/1\.1 407 Proxy Auth") as caught:
        client_of(trust).tts.websocket_connect().enter()
    assert not isinstance(caught.value, TimeoutError)
    words = words_of(caught.value)
    assert "127.0.0.1" in words
    for secret in ("wr0ng-passw0rd", base64.b64encode(b"me:wr0ng-passw0rd").decode(), KEY):
        assert secret not in words
    assert KEY.encode() not in http_proxy.recorded()
    assert service.accepted == 0


def test_a_host_that_the_proxy_does_not_know_is_told(
    http_proxy: Proxy, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", http_proxy.url("me:p%40ss%3Aw%2Frd"))
    with pytest.raises(APIConnectionError, match=r"refused the tunnel: HTTP/1\.1 502 Bad Gateway") as caught:
        client_of(trust, "elsewhere.invalid").tts.websocket_connect().enter()
    assert "p@ss" not in words_of(caught.value)


@pytest.mark.parametrize("exceptions", ["127.0.0.1", "*", "elsewhere.invalid, 127.0.0.0/8"])
def test_no_proxy_goes_past_it(
    http_proxy: Proxy, service: Peer, trust: Trust, monkeypatch: pytest.MonkeyPatch, exceptions: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", http_proxy.url("me:wrong"))
    monkeypatch.setenv("NO_PROXY", exceptions)
    with client_of(trust, "127.0.0.1", service.port).tts.websocket_connect() as connection:
        assert say(connection, "one").audio() == audio_of("one", "Hello.")
    assert http_proxy.accepted == 0


def test_a_tunnel_that_stalls_loses_nothing(
    http_proxy: Proxy, trust: Trust, threads: ThreadPoolExecutor, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", http_proxy.url("me:p%40ss%3Aw%2Frd"))
    with client_of(trust).tts.websocket_connect() as connection:
        passage = http_proxy.passage()
        passage.to_client.stall()
        receiving = threads.submit(say(connection, "one").audio)
        stall_by_steps(passage.to_client, [1, 2, 3, 5001, 10_007], waits, ends_inside_a_record)
        passage.resume()
        assert receiving.result(BOUND) == audio_of("one", "Hello.")


# ---- whom the environment trusts

VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


def der(tag: int, content: bytes) -> bytes:
    length = len(content)
    size = bytes([length]) if length < 128 else bytes([0x81, length])
    return bytes([tag]) + size + content


def folder_name(certificate: x509.Certificate) -> str:
    """Return the name by which OpenSSL finds an authority in a folder: a hash of its subject's canonical form."""
    form = b""
    for rdn in certificate.subject.rdns:
        (each,) = rdn
        numbers = [int(number) for number in each.oid.dotted_string.split(".")]
        assert max(numbers) < 128
        oid = bytes([40 * numbers[0] + numbers[1], *numbers[2:]])
        value = " ".join(str(each.value).lower().split()).encode()
        form += der(0x31, der(0x30, der(0x06, oid) + der(0x0C, value)))
    return f"{struct.unpack('<I', hashlib.sha1(form).digest()[:4])[0]:08x}.0"


def write_trust(tmp_path: Path, authority: trustme.CA, *, folder: bool) -> str:
    """Write the authority down, alone, as a file or as a folder of files."""
    certificate = authority.cert_pem.bytes()
    name = folder_name(x509.load_pem_x509_certificate(certificate)) if folder else "authority.pem"
    (tmp_path / name).write_bytes(certificate)
    return os.fspath(tmp_path if folder else tmp_path / name)


@pytest.fixture
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def connect_by_the_environment(port: int) -> None:
    client = Cartesia(api_key=KEY, base_url=f"https://127.0.0.1:{port}", timeout=CLOCKS, max_retries=0)
    with client.tts.websocket_connect():
        pass


@pytest.mark.usefixtures("_plain_environment")
@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("REQUESTS_CA_BUNDLE", False),
        ("REQUESTS_CA_BUNDLE", True),
        ("CURL_CA_BUNDLE", False),
        ("SSL_CERT_FILE", False),
        ("SSL_CERT_DIR", True),
    ],
)
def test_an_authority_that_the_environment_names_is_trusted(
    serve: Serve,
    trust: Trust,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    folder: bool,
) -> None:
    monkeypatch.setenv(variable, write_trust(tmp_path, authority, folder=folder))
    connect_by_the_environment(serve(listening, tls=trust.server).port)


@pytest.mark.usefixtures("_plain_environment")
@pytest.mark.parametrize("variable", [None, *VARIABLES])
def test_a_service_of_another_authority_is_refused_before_the_key_is_sent(
    serve: Serve, trust: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: Optional[str]
) -> None:
    if variable is not None:
        is_folder = variable == "SSL_CERT_DIR"
        monkeypatch.setenv(variable, write_trust(tmp_path, trustme.CA(), folder=is_folder))
    peer = serve(listening, tls=trust.server)
    with Proxy(peer.port) as between:
        with pytest.raises(APIConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            connect_by_the_environment(between.port)
        assert KEY.encode() not in between.recorded()


@pytest.mark.usefixtures("_plain_environment")
def test_the_bundle_of_requests_goes_before_openssls_own(
    serve: Serve, trust: Trust, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does in requests, which passes it on by name."""
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.mkdir()
    wrong.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", write_trust(wrong, trustme.CA(), folder=False))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", write_trust(right, authority, folder=False))
    connect_by_the_environment(serve(listening, tls=trust.server).port)
