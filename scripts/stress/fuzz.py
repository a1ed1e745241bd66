"""Feed the client what no service should send, and see that every receiver ends, with our exceptions only.

Each input is a stream of bytes, made from a seed and a number, and goes through a socket to a real wire, link and
three contexts, each with a receiver in a thread of its own. Half of the inputs are broken WebSocket frames, half are
broken events in good frames. What must hold for each:

    every receiver ends when the stream does, and raises nothing but a CartesiaError;
    an event reaches its own context or nobody; one without a context is an error of the whole connection;
    broken events leave a context that they do not name whole: it hears all its chunks, and its end;
    a message that nobody can attribute ends the connection: that context hears what came before, and a TruncatedError;
    what came before the stream's end is heard, also where the far end is gone and no answer can leave;
    the reader ends without a bug, and all mailboxes are sealed, the socket is closed, no thread is left.

Prints how often each outcome was seen. A failure is printed with the command that repeats it, and gives status 1.
With ``--search`` the choices are Hypothesis's, who makes an input that fails as small as it can.
"""

from __future__ import annotations

import argparse
import base64
import gc
import json
import os
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Optional

from cartesia_sync import CartesiaError, MalformedEventError, Timeout
from cartesia_sync.protocol.codec import decode, require_context
from cartesia_sync.protocol.events import Chunk, Done, Error, Event
from cartesia_sync.streaming.connection import Connection
from cartesia_sync.streaming.context import Context
from cartesia_sync.streaming.link import Link
from cartesia_sync.streaming.receiver import error_of
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.duplex import Duplex
from cartesia_sync.transport.websocket.stream import Stream
from cartesia_sync.transport.websocket.wire import Wire

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
from far_end import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame  # found by the line before

BOUND = 10.0
"""Seconds within which a receiver ends after the stream; reaching it is a failure."""
NAMES = ("alpha", "beta")  # what broken events name
WHOLE = "left-alone-0123456789"  # what they do not name, not by a flipped bit either
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}
MAX_MESSAGE_BYTES = 1 << 17
ROOM = (1 << 20, 2048)  # for contexts' queues; the second overflows now and then
CLOCKS = Timeout(first_event=None, gap=None, close=BOUND)  # the stream's end alone ends a receiver

# ---- frames


def cut(data: bytes, rng: random.Random, most: int) -> list[bytes]:
    cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.randint(1, most)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)])]


def fragments(data: bytes, rng: random.Random) -> list[bytes]:
    parts = cut(data, rng, 4)
    return [frame(part, CONT if n else TEXT, fin=n == len(parts) - 1) for n, part in enumerate(parts)]


def odd_frame(data: bytes, rng: random.Random) -> bytes:
    """Make a frame that is wrong, or right and rare."""
    kind = rng.randrange(9)
    if kind == 0:
        return frame(data, rsv=rng.randint(1, 7))
    if kind == 1:
        return frame(data, mask=rng.randbytes(4))
    if kind == 2:
        return frame(data, rng.randrange(16), fin=rng.random() < 0.8)
    if kind == 3:
        return frame(data, form=rng.randint(1, 2))
    if kind == 4:  # the announced length is not that of the data
        length = rng.choice(
            [0, 1, 125, 1 << 16, MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES + 1, 1 << 31, 1 << 63, (1 << 64) - 1]
        )
        return struct.pack("!BBQ", 0x80 | rng.choice([CONT, TEXT, CLOSE, PING]), 127, length) + data
    if kind == 5:
        return frame(rng.randbytes(rng.choice([0, 1, 125, 126, 300])), rng.choice([PING, PONG]), fin=rng.random() < 0.9)
    if kind == 6:
        code = rng.choice([0, 999, 1000, 1001, 1004, 1005, 1006, 1011, 1015, 2999, 3000, 4999, 5000, 65535])
        reason = rng.choice([b"", b"bye", b"\xff\xfe", b"x" * 123, b"x" * 124])
        return frame(struct.pack("!H", code)[: rng.choice([0, 1, 2, 2, 2])] + reason, CLOSE)
    if kind == 7:
        return rng.choice([b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b"\x00" * 40, b"\xff" * 40, rng.randbytes(40)])
    return frame(b"", CONT, fin=False) * rng.randint(1, 50)


def broken_stream(rng: random.Random) -> bytes:
    """Make a stream of good frames, with some odd ones, and then spoil its bytes."""
    parts: list[bytes] = []
    for message in conversation(rng):
        parts += (
            fragments(message, rng) if rng.random() < 0.2 else [frame(message, BINARY if rng.random() < 0.02 else TEXT)]
        )
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        at = rng.randint(0, len(parts))
        parts.insert(at, odd_frame(rng.choice([b"", b"{}", parts[at - 1]]), rng))
    if rng.random() < 0.2:
        one, other = rng.randrange(len(parts)), rng.randrange(len(parts))
        parts[one], parts[other] = parts[other], parts[one]
    return spoiled(b"".join(parts), rng, rng.choice([0, 0, 1, 1, 3]))


def spoiled(data: bytes, rng: random.Random, times: int) -> bytes:
    """Flip bits, cut, repeat, or put rubbish in."""
    changed = bytearray(data)
    for _ in range(times):
        if not changed:
            break
        start = rng.randrange(len(changed))
        end = min(start + rng.choice([1, 2, 8, 100]), len(changed))
        kind = rng.randrange(6)
        if kind <= 1:
            changed[start] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del changed[start:]
        elif kind == 3:
            del changed[start:end]
        elif kind == 4:
            changed[start:start] = changed[start:end]
        else:
            changed[start:end] = rng.randbytes(end - start)
    return bytes(changed)


def messages_in(stream: bytes) -> list[bytes]:
    """Read a stream by RFC 6455 and our limit, as far as it keeps to them, in the plainest way there is.

    The last is the first that nobody can attribute, if there is one: it ends the connection.
    """
    found: list[bytes] = []
    parts: list[bytes] = []
    is_text = False
    at = 0
    while at + 2 <= len(stream):
        first, second = stream[at], stream[at + 1]
        opcode, is_last, length = first & 0x0F, first & 0x80, second & 0x7F
        size = {126: 2, 127: 8}.get(length, 0)
        length = int.from_bytes(stream[at + 2 : at + 2 + size], "big") if size else length
        at += 2 + size + length
        if first & 0x70 or second & 0x80 or length > MAX_MESSAGE_BYTES or at > len(stream):
            break
        if opcode in (PING, PONG) and is_last and length <= 125:
            continue
        if opcode not in (CONT, TEXT, BINARY) or (opcode == CONT) != bool(parts):
            break
        is_text = opcode == TEXT if not parts else is_text
        parts.append(stream[at - length : at])
        if sum(map(len, parts)) > MAX_MESSAGE_BYTES:
            break
        is_whole_frame = is_last and len(parts) == 1  # whose text the JSON decoder checks
        if is_text and not is_whole_frame and not may_be_text(b"".join(parts), bool(is_last)):
            break
        if is_last:
            found.append(b"".join(parts))
            parts = []
            if not is_text or is_nobodys(found[-1]):
                break
    return found


def is_nobodys(text: bytes) -> bool:
    """Whether it may have been audio of any context, for all that can be read of it."""
    try:
        require_context(decode(text))
    except MalformedEventError as error:
        return error.context_id not in (*NAMES, WHOLE)
    return False


def may_be_text(data: bytes, is_whole: bool) -> bool:
    """Whether it is UTF-8, or may become so by what is still to come."""
    try:
        str(data, "utf-8")
    except UnicodeDecodeError as error:
        return not is_whole and error.reason == "unexpected end of data"
    return True


# ---- events


def chunk(context_id: str, audio: bytes) -> dict[str, Any]:
    return {"type": "chunk", "context_id": context_id, "data": base64.b64encode(audio).decode(), "done": False}


DONE = json.dumps({"type": "done", "context_id": WHOLE}).encode()


def good_event(context_id: str, rng: random.Random) -> dict[str, Any]:
    words = {"words": ["a", "b"], "start": [0, 0.5], "end": [0.5, 1]}
    return rng.choice(
        [
            chunk(context_id, rng.randbytes(rng.choice([0, 1, 2, 7, 100, 900]))),
            {**chunk(context_id, b"1234"), "step_time": 1.5, "flush_id": 1, "status_code": 206},
            {"type": "timestamps", "context_id": context_id, "word_timestamps": words},
            {"type": "phoneme_timestamps", "context_id": context_id, "phoneme_timestamps": {**words, "phonemes": []}},
            {"type": "flush_done", "context_id": context_id, "flush_done": True, "flush_id": 1},
            {"type": "error", "context_id": rng.choice([context_id, None]), "status_code": 400, "error": "Title: text"},
            {"type": "error", "context_id": context_id, "title": "t", "message": "m", "done": rng.random() < 0.5},
            {"type": "weather", "context_id": context_id, "rain": True},
        ]
    )


def conversation(rng: random.Random) -> list[bytes]:
    events = [good_event(rng.choice(NAMES), rng) for _ in range(rng.randint(1, 12))]
    events += [{"type": "done", "context_id": name, "done": True} for name in NAMES if rng.random() < 0.7]
    return [json.dumps(event).encode() for event in events]


RAW_VALUES = (
    "null", "true", "false", "0", "-1", "1.5", "-0.0", "1e308", "1e999", "-1e999", "NaN", "Infinity", "1e5",
    "9223372036854775808", '""', '"0"', '"done"', '"chunk"', '"error"', '"alpha"', '"beta"', '"gamma"', r'"\ud800"',
    r'"\udc00\ud800"', r'"\u0000"', '"é"', "[]", "{}", "[[]]", '["a",1]', '{"a":{}}', "[null]", '"AA"', '"AA=A"',
    '"A==="', '"!!!!"', r'"AAAA\n"', '"AAAA AAAA"', '"-_-_"', '"="', '{"words":[],"start":[],"end":[]}',
    '{"words":[1],"start":["a"]}',
)  # fmt: skip
RAW_MESSAGES = (
    b"null", b"[]", b'""', b"5", b"{", b"}", b"{}", b"\xff\xfe", b"\xef\xbb\xbf{}", b"// {}", b"{'a':1}", b'{"a":1,}',
    b'{"type":"done"}{"type":"done"}', b'{"type":"chunk"}', b'{"type":null}', b'{"type":["chunk"]}', b"\x00" * 9,
    b'{"type":"done","context_id":"\xff"}', b'{"type":"error"}', b'{"context_id":"alpha"}', b'{"type":"\\ud800"}',
    '{"type":"done"}'.encode("utf-16"), '{"type":"done"}'.encode("utf-32"), b" \n\t",
)  # fmt: skip
KEYS = (
    "type", "context_id", "data", "done", "status_code", "flush_id", "step_time", "word_timestamps", "error", "title",
)  # fmt: skip


def wrong_message(rng: random.Random) -> bytes:
    """Make one event that is wrong in some way, and never names the context that is to stay whole."""
    fields = [(key, json.dumps(value)) for key, value in good_event(rng.choice(NAMES), rng).items()]
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice(RAW_MESSAGES)
    if kind == 1:
        depth = rng.choice([10, 500, 1000, 5000])
        opening, closing = rng.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'{"type":"chunk","x":', b"}")])
        return opening * depth + (b"1" + closing * depth) * rng.randint(0, 1)
    if kind == 2:
        number = rng.choice(["", "-"]) + "9" * rng.choice([19, 20, 400, 5000]) + rng.choice(["", ".5", "e5", "e-400"])
        fields.append((rng.choice([*KEYS, "new"]), number))
    elif kind == 3:
        fields.append((rng.choice(["context_id", "type"]), json.dumps("x" * rng.choice([1, 300, 60000]))))
    elif kind == 4:
        fields = fields[: rng.randrange(len(fields))]
    for _ in range(rng.randint(1, 3)):
        key, value = rng.choice([*KEYS, "new", "é", ""]), rng.choice(RAW_VALUES)
        if fields and rng.random() < 0.7:
            at = rng.randrange(len(fields))
            fields[at] = (fields[at][0], value)
        else:
            fields.insert(rng.randint(0, len(fields)), (key, value))  # often there a second time
    text = "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in fields) + "}"
    return spoiled(text.encode(), rng, rng.choice([0, 0, 0, 1]))


def wrong_messages(rng: random.Random) -> tuple[bytes, list[bytes]]:
    """Make a stream of good frames with wrong events in them; give also what the whole context is to hear."""
    audio = [b"%04d" % number for number in range(rng.randint(0, 5))]
    ours = [*(json.dumps(chunk(WHOLE, each)).encode() for each in audio), DONE]
    theirs = [wrong_message(rng) for _ in range(rng.randint(1, 8))] + conversation(rng)[: rng.randint(0, 4)]
    if rng.random() < 0.5:
        theirs = [each for each in theirs if not is_nobodys(each)]  # the first such would be the last that is read
    rng.shuffle(theirs)
    messages: list[bytes] = []
    while ours or theirs:
        source = ours if not theirs or (ours and rng.random() < 0.5) else theirs
        messages.append(source.pop(0))
    return b"".join(frame(message) for message in messages), audio


# ---- one input


class FailureError(Exception):
    """What must hold did not."""


class RecordedWire(Wire):
    """The real one, which writes down what it gives."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(Duplex(Stream(sock)), response_headers={}, max_message_bytes=MAX_MESSAGE_BYTES)
        self.messages: list[bytes] = []

    def read(self, deadline: Deadline) -> Optional[bytes]:
        message = super().read(deadline)
        if message:
            self.messages.append(message)
        return message


class Input:
    """What a stream of choices makes: those of a seed and a number, or Hypothesis's."""

    def __init__(self, rng: random.Random) -> None:
        self.whole: Optional[list[bytes]] = None
        if rng.random() < 0.5:
            self.stream = broken_stream(rng)
        else:
            self.stream, self.whole = wrong_messages(rng)
        self.pieces = [self.stream] if rng.random() < 0.6 else cut(self.stream, rng, 6)
        # The socket is closed, with what we sent unread; else the stream just ends. On Windows, where TCP stands in for
        # the pair, that would take back what has come.
        self.resets = rng.random() < 0.3 and sys.platform != "win32"
        self.cancel_after = rng.choice([0, 1, 3]) if rng.random() < 0.1 else None


def numbered(seed: int, number: int) -> Input:
    return Input(random.Random(f"{seed} {number}"))


def receive(context: Context, item: Input) -> tuple[str, list[bytes]]:
    """Hear a context to its end, and look at everything that comes."""
    audio: list[bytes] = []
    how, count = "our cancel", 0
    try:
        for event in context.receive():
            if event.context_id != context.context_id and not (event.context_id is None and isinstance(event, Error)):
                raise FailureError(f"context {context.context_id!r} heard {event!r}")
            look_at(event)
            if isinstance(event, Chunk):
                audio.append(event.audio)
            if isinstance(event, (Done, Error)) and event.context_id is not None:
                how = f"{event.type} event"
            count += 1
            if count == item.cancel_after and context.context_id != WHOLE:
                context.cancel()
    except CartesiaError as error:
        cause = error.__cause__
        how = f"{type(error).__name__} from {type(cause).__name__}" if cause else type(error).__name__
    return how, audio


def what_is_left(audio: list[bytes], messages: list[bytes]) -> tuple[str, list[bytes]]:
    """Return how the context left alone ends, and what it hears before, where these are all messages that came."""
    if DONE in messages:
        return "done event", audio
    return "TruncatedError from ProtocolError", [
        each for each in audio if json.dumps(chunk(WHOLE, each)).encode() in messages
    ]


def look_at(event: Event) -> None:
    """Do with an event what a user may."""
    repr(event)
    str(event.type), event.done, event.status_code, event.extra, event.unreadable
    if isinstance(event, Chunk):
        event.data, event.samples(), event.raw()
    elif isinstance(event, Error):
        str(error_of(event)), event.error


class Fuzzer:
    """Runs inputs one after the other.

    Attributes:
        outcomes: How often each end of a reader or a receiver, and each count of the link, was seen.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(len(NAMES) + 1, "fuzz")
        self._uncaught: list[str] = []
        self._excepthook = threading.excepthook

    def __enter__(self) -> Fuzzer:
        threading.excepthook = lambda args: self._uncaught.append(repr(args.exc_value))
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        threading.excepthook = self._excepthook

    def run(self, item: Input) -> None:
        """Run one input.

        Raises:
            FailureError: What must hold did not.
        """
        near, far = socket.socketpair()
        with near, far:
            far.settimeout(BOUND)
            wire = RecordedWire(near)
            link = Link(lambda deadline: wire, timeout=CLOCKS, ping_interval=None, reconnect=False)
            link.connect()
            try:
                self._hear(link, wire, far, item)
            finally:
                link.close()  # which frees whoever hangs
            if near.fileno() != -1:
                raise FailureError("the socket is not closed")
            if self._uncaught:
                raise FailureError(f"a thread ended with {self._uncaught.pop()}")

    def _hear(self, link: Link, wire: RecordedWire, far: socket.socket, item: Input) -> None:
        connection = Connection(link, api_version="2026-08-14", timeout=CLOCKS)
        contexts = [
            connection.context(name, voice="v", output_format=FORMAT, max_queued_bytes=ROOM[name == "beta"])
            for name in (*NAMES, WHOLE)
        ]
        for context in contexts:
            context.push("text")
        receivers = [self._threads.submit(receive, context, item) for context in contexts]
        try:
            for piece in item.pieces:
                far.sendall(piece)
            if not item.resets:
                far.shutdown(socket.SHUT_WR)
        except OSError:
            self.outcomes["stream: refused before its end"] += 1
        if item.resets:
            far.close()
        self._check_reader(link, contexts, item)
        expected = messages_in(item.stream)
        if wire.messages != expected:
            raise FailureError(f"the wire gave {len(wire.messages)} messages, and not the {len(expected)} that came")
        for context, future in zip(contexts, receivers):
            try:
                how, audio = future.result(BOUND)
            except FailureError:
                raise
            except BaseException as error:  # whatever it was, it is a finding
                raise FailureError(f"the receiver of {context.context_id!r}: {error!r}") from error
            self.outcomes[f"receiver: {how}"] += 1
            if context.context_id == WHOLE and item.whole is not None:
                wanted = what_is_left(item.whole, expected)
                if (how, audio) != wanted:
                    raise FailureError(f"the context left alone heard {audio} and then {how}, not {wanted}")

    def _check_reader(self, link: Link, contexts: list[Context], item: Input) -> None:
        reader = link.reader
        assert reader is not None
        reader.join(BOUND)
        if reader.is_alive():
            raise FailureError("the reader did not end")
        loss = link.lost().__cause__
        assert loss is not None
        if str(loss).startswith("The reader thread"):
            raise FailureError(f"the reader had a bug: {loss.__cause__!r}")
        unsealed = [context.context_id for context in contexts if not context._channel.mailbox.is_sealed]
        if unsealed and item.cancel_after is None:  # or a receiver may be about to seal its own
            raise FailureError(f"the reader ended and left {unsealed} open")
        self.outcomes[f"reader: {type(loss).__name__}{' with a code' * bool(getattr(loss, 'code', None))}"] += 1
        self.outcomes["events for no context"] += link.stats.stray_events
        self.outcomes["events for an ended context"] += link.registry.late_events


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def run(seed: int, numbers: Iterable[int], *, progress: Callable[[int], None] = lambda done: None) -> Fuzzer:
    """Run inputs, and see that they leave nothing behind.

    Raises:
        FailureError: With the seed, the number and the stream.
    """
    with Fuzzer() as fuzzer:
        gc.collect()
        before = descriptors()
        for count, number in enumerate(numbers, 1):
            item = numbered(seed, number)
            try:
                fuzzer.run(item)
            except FailureError as failure:
                repeat = f"scripts/stress/fuzz.py --seed {seed} --only {number}"
                story = (
                    f"input {number}: {failure}\nagain: {repeat}\nstream, its first 4000 bytes: {item.stream[:4000]!r}"
                )
                raise FailureError(story) from failure
            progress(count)
        gc.collect()
        left = [thread.name for thread in threading.enumerate() if thread.name.startswith("cartesia-sync")]
        if left or descriptors() > before:
            raise FailureError(f"left over: threads {left}, {descriptors() - before} descriptors")
    return fuzzer


def search(seed: int, inputs: int, *, shrinks: bool = True) -> Fuzzer:
    """Let Hypothesis choose the inputs, and make one that fails as small as it can, where that is wanted.

    Raises:
        FailureError: With the stream.
    """
    import hypothesis
    from hypothesis import strategies as st

    phases = [hypothesis.Phase.generate, hypothesis.Phase.shrink][: 1 + shrinks]
    with Fuzzer() as fuzzer:

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=inputs,
            deadline=None,
            database=None,
            phases=phases,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(st.randoms(use_true_random=False))
        def check(rng: random.Random) -> None:
            item = Input(rng)
            try:
                fuzzer.run(item)
            except FailureError as failure:
                raise FailureError(f"{failure}\nstream, its first 4000 bytes: {item.stream[:4000]!r}") from failure

        check()
    return fuzzer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--search", action="store_true", help="let Hypothesis choose, and make a failure small; slower")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="run this input alone")
    options = parser.parse_args()
    numbers = range(options.inputs) if options.only is None else [options.only]
    started = time.monotonic()

    def progress(done: int) -> None:
        if not done % 10_000:
            print(f"{done} inputs, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)

    try:
        if options.search:
            fuzzer = search(options.seed, options.inputs)
        else:
            fuzzer = run(options.seed, numbers, progress=progress)
    except FailureError as failure:
        print(f"FAILED: {failure}")
        return 1
    print(f"seed {options.seed}: {len(numbers)} inputs, no failure; {time.monotonic() - started:.0f} s")
    for outcome, count in sorted(fuzzer.outcomes.items()):
        print(f"{count:10}  {outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
