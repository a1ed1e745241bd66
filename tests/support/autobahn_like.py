"""An echo over the wire, tried with cases of our own after the public case descriptions of Autobahn's test suite.

Chapters 1 to 7, 9 and 10; 12 and 13 are compression, which is not offered. A case says what the service sends, and what
it must hear: echoes and pongs, and then a close code. Run as a script, it prints how many cases of each chapter pass.
"""

from __future__ import annotations

import codecs
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple, Optional, Union

from websocket import ABNF

from cartesia_sync.errors import APIConnectionError
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.duplex import Duplex, Frame
from cartesia_sync.transport.websocket.wire import BinaryMessage, Wire

try:
    from .peer import BINARY, BOUND, CLOSE, CONT, PING, PONG, TEXT, Far, Said, close_frame, connected, frame
except ImportError:  # run as a script
    from peer import (  # type: ignore[import-not-found,no-redef]  # beside this file
        BINARY,
        BOUND,
        CLOSE,
        CONT,
        PING,
        PONG,
        TEXT,
        Far,
        Said,
        close_frame,
        connected,
        frame,
    )

OK, NON_STRICT, FAIL = "ok", "non-strict", "fail"
BYE = close_frame(1000)
VIOLATION, NOT_UTF8 = 1002, 1007
NO_CODE = 1005
"""Stands for a close frame without one."""


class UntilGone(NamedTuple):
    """A step of the service's: wait until the client has ended the connection. What follows must not be needed."""


Step = Union[bytes, UntilGone]


class Case(NamedTuple):
    """What the service does and must hear.

    Attributes:
        name: Chapter, section and number, and what it tries.
        steps: What is sent, each in a segment of its own.
        heard: The frames that must come back before the close frame.
        code: The client's close code; a connection that ends without a close frame is ``non-strict`` at a violation.
        verdict: What the case counts as where all is as it must be; ``non-strict`` where the client may be later than
            the RFC would like.
    """

    name: str
    steps: tuple[Step, ...]
    heard: tuple[Said, ...] = ()
    code: int = 1000
    verdict: str = OK

    @property
    def chapter(self) -> int:
        return int(self.name.partition(".")[0])


def chopped(data: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(data[start : start + size] for start in range(0, len(data), size))


def fragments(data: bytes, size: int, opcode: int = TEXT) -> tuple[bytes, ...]:
    """Make the frames of a message in fragments of so many bytes."""
    parts = chopped(data, size) or (b"",)
    last = len(parts) - 1
    return tuple(frame(part, CONT if number else opcode, fin=number == last) for number, part in enumerate(parts))


def text(data: bytes) -> Said:
    return Said(TEXT, data)


def binary(data: bytes) -> Said:
    return Said(BINARY, data)


# ---- the cases

SIZES = (0, 125, 126, 127, 128, 65535, 65536)


def framing() -> Iterator[Case]:
    for section, opcode, letter in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        for size in SIZES:
            data = letter * size
            yield Case(f"1.{section} {size} bytes", (frame(data, opcode), BYE), (Said(opcode, data),))
        data = letter * 65536
        steps = (*chopped(frame(data, opcode), 997), BYE)
        yield Case(f"1.{section} 65536 bytes in pieces of 997", steps, (Said(opcode, data),))


def pings() -> Iterator[Case]:
    for name, data in (("empty", b""), ("text", b"Hello"), ("bytes", bytes((0, 255, 254, 253))), ("125", b"p" * 125)):
        yield Case(f"2.1 ping, {name}", (frame(data, PING), BYE), (Said(PONG, data),))
        yield Case(f"2.2 ping, {name}, byte by byte", (*chopped(frame(data, PING), 1), BYE), (Said(PONG, data),))
        yield Case(f"2.3 pong that nobody asked for, {name}", (frame(data, PONG), BYE))
        both = (frame(data, PONG), frame(b"own", PING), BYE)
        yield Case(f"2.4 the same, and a ping, {name}", both, (Said(PONG, b"own"),))
    yield Case("2.5 ping of 126 bytes", (frame(b"p" * 126, PING),), code=VIOLATION)
    ten = [b"payload %d" % number for number in range(10)]
    pongs = tuple(Said(PONG, each) for each in ten)
    at_once = b"".join(frame(each, PING) for each in ten)
    yield Case("2.6 ten pings", (at_once, BYE), pongs)
    yield Case("2.7 ten pings, byte by byte", (*chopped(at_once, 1), BYE), pongs)


def reserved_bits() -> Iterator[Case]:
    hello = frame(b"Hello")
    for bits in range(1, 8):
        for name, opcode in (("text", TEXT), ("binary", BINARY), ("ping", PING), ("pong", PONG)):
            odd = frame(b"odd", opcode, rsv=bits)
            yield Case(f"3.1 bits {bits:03b} on {name}", (odd,), code=VIOLATION)
            at_once = (hello + odd + frame(b"p", PING),)
            yield Case(f"3.2 bits {bits:03b} on {name}, after a text", at_once, (text(b"Hello"),), VIOLATION)
            one_by_one = (hello, odd, frame(b"p", PING))
            yield Case(f"3.3 the same in segments, {bits:03b} on {name}", one_by_one, (text(b"Hello"),), VIOLATION)
        steps = (*chopped(hello + frame(b"odd", rsv=bits) + frame(b"p", PING), 1),)
        yield Case(f"3.4 bits {bits:03b}, byte by byte", steps, (text(b"Hello"),), VIOLATION)
        yield Case(f"3.5 bits {bits:03b} on close", (frame(b"\x03\xe8", CLOSE, rsv=bits),), code=VIOLATION)


def opcodes() -> Iterator[Case]:
    hello = frame(b"Hello")
    for section, group in ((1, range(3, 8)), (2, range(11, 16))):
        for opcode in group:
            yield Case(f"4.{section} opcode {opcode}, empty", (frame(b"", opcode),), code=VIOLATION)
            yield Case(f"4.{section} opcode {opcode}", (frame(b"odd", opcode),), code=VIOLATION)
            steps = (hello, frame(b"", opcode), frame(b"p", PING))
            yield Case(f"4.{section} opcode {opcode}, after a text", steps, (text(b"Hello"),), VIOLATION)
            steps = (hello + frame(b"odd", opcode) + frame(b"p", PING),)
            yield Case(f"4.{section} opcode {opcode}, in one segment", steps, (text(b"Hello"),), VIOLATION)
            octets = chopped(hello + frame(b"odd", opcode) + frame(b"p", PING), 1)
            yield Case(f"4.{section} opcode {opcode}, byte by byte", octets, (text(b"Hello"),), VIOLATION)


def fragmentation() -> Iterator[Case]:
    for name, opcode in (("ping", PING), ("pong", PONG), ("close", CLOSE)):
        steps = (frame(b"\x03\xe8", opcode, fin=False), frame(b"x", CONT))
        yield Case(f"5.1 {name} in fragments", steps, code=VIOLATION)
    first, last = fragments(b"fragment1fragment2", 9)
    whole = (text(b"fragment1fragment2"),)
    for name, size in (("one segment", 1000), ("one byte at a time", 1)):
        yield Case(f"5.2 two fragments, {name}", (*chopped(first + last, size), BYE), whole)
        ping = frame(b"p", PING)
        between = (*chopped(first + ping + last, size), BYE)
        yield Case(f"5.3 a ping between two fragments, {name}", between, (Said(PONG, b"p"), *whole))
    yield Case("5.2 two fragments, a segment each", (first, last, BYE), whole)
    two_pings = (first, frame(b"1", PING), frame(b"2", PING), last, frame(b"3", PING), BYE)
    pongs = (Said(PONG, b"1"), Said(PONG, b"2"), *whole, Said(PONG, b"3"))
    yield Case("5.3 pings between fragments and after", two_pings, pongs)
    for fin in (True, False):
        stray = frame(b"stray", CONT, fin=fin)
        for name, steps in (
            ("in segments", (stray, frame(b"Hello"))),
            ("in one segment", (stray + frame(b"Hello"),)),
            ("byte by byte", chopped(stray + frame(b"Hello"), 1)),
        ):
            yield Case(f"5.4 the rest of nothing, last {fin}, {name}", steps, code=VIOLATION)
        after = (first, last, stray, frame(b"Hello"))
        yield Case(f"5.5 the rest of nothing after a message, last {fin}", after, whole, VIOLATION)
        repeated = (stray, frame(b"Hello", fin=False), frame(b"more", CONT)) * 2
        yield Case(f"5.6 the rest of nothing before messages, last {fin}", repeated, code=VIOLATION)
    for opcode in (TEXT, BINARY):
        inside = (first, frame(b"fragment2", opcode))
        yield Case(f"5.7 a message with opcode {opcode} inside another", inside, code=VIOLATION)
    parts = [b"fragment%d" % number for number in range(1, 6)]
    long = (
        frame(parts[0], fin=False),
        frame(parts[1], CONT, fin=False),
        frame(b"1", PING),
        frame(parts[2], CONT, fin=False),
        frame(parts[3], CONT, fin=False),
        frame(b"2", PING),
        frame(parts[4], CONT),
        BYE,
    )
    heard = (Said(PONG, b"1"), Said(PONG, b"2"), text(b"".join(parts)))
    yield Case("5.8 five fragments and two pings", long, heard)
    yield Case("5.8 the same in one segment", (b"".join(long),), heard)
    yield Case("5.9 binary in fragments", (*fragments(b"\xff\xfe\x00", 1, BINARY), BYE), (binary(b"\xff\xfe\x00"),))


GREEK = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()
"""A word of two- and three-byte characters."""

SENTENCE = "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!".encode()

WELL_FORMED = {
    "first of each length": [chr(point).encode() for point in (0x0, 0x80, 0x800, 0x10000)],
    "last of each length": [chr(point).encode() for point in (0x7F, 0x7FF, 0xFFFF, 0x10FFFF)],
    "beside the gap": [chr(point).encode() for point in (0xD7FF, 0xE000, 0xFFFD)],
    "no characters": [chr(plane << 16 | point).encode() for plane in range(0x11) for point in (0xFFFE, 0xFFFF)],
    "no characters, more": [chr(point).encode() for point in (0xFDD0, 0xFDEF)],
    "a mark of byte order": [b"\xef\xbb\xbf", b"\xef\xbb\xbfa"],
}
ILL_FORMED = {
    "too large": [b"\xf4\x90\x80\x80", b"\xf7\xbf\xbf\xbf"],
    "five and six bytes": [
        b"\xf8\x88\x80\x80\x80",
        b"\xfb\xbf\xbf\xbf\xbf",
        b"\xfc\x84" + b"\x80" * 4,
        b"\xfd" + b"\xbf" * 5,
    ],
    "a continuation alone": [
        b"\x80",
        b"\xbf",
        *((b"\x80\xbf" * 4)[:size] for size in range(2, 8)),
        bytes(range(0x80, 0xC0)),
    ],
    "a beginning alone": [bytes((lead, 0x20)) for lead in range(0xC2, 0xF5)],
    "the last byte missing": [
        b"\xc2",
        b"\xe0\xa0",
        b"\xf0\x90\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf4\x8f\xbf",
        b"\xe0\xa0\xf0\x90\x80",
    ],
    "impossible bytes": [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff", b"\xc0", b"\xc1", b"\xf5"],
    "overlong": [
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xc0\x80",
    ],
    "halves of a pair": [
        chr(point).encode("utf-8", "surrogatepass") for point in (0xD800, 0xDB7F, 0xDBFF, 0xDC00, 0xDFFF)
    ],
    "both halves of a pair": [
        "\ud800\udc00".encode("utf-8", "surrogatepass"),
        "\udbff\udfff".encode("utf-8", "surrogatepass"),
    ],
    "in the middle": [GREEK + b"\xed\xa0\x80edited", b"a\x80b", GREEK + b"\xf4\x90\x80\x80edited"],
}


def utf8() -> Iterator[Case]:
    yield Case("6.1 empty", (frame(b""), BYE), (text(b""),))
    yield Case("6.1 empty in fragments", (*(frame(b"", TEXT, fin=False), frame(b"", CONT)), BYE), (text(b""),))
    around = (frame(b"", TEXT, fin=False), frame(b"middle", CONT, fin=False), frame(b"", CONT), BYE)
    yield Case("6.1 empty fragments around one", around, (text(b"middle"),))
    for data in (SENTENCE, GREEK):
        yield Case(f"6.2 {len(data)} bytes, whole", (frame(data), BYE), (text(data),))
        yield Case(f"6.2 {len(data)} bytes, in two", (*fragments(data, len(data) // 2), BYE), (text(data),))
        yield Case(f"6.2 {len(data)} bytes, byte by byte", (*fragments(data, 1), BYE), (text(data),))
    for size in range(1, len(GREEK) + 1):
        yield from _prefix(GREEK[:size])
    bad = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"
    yield Case(
        "6.4 fails at the fragment that is ill-formed",
        (frame(GREEK, fin=False), frame(b"\xf4\x90\x80\x80", CONT, fin=False), UntilGone(), frame(b"rest", CONT)),
        code=NOT_UTF8,
    )
    yield Case(
        "6.4 fails at the byte that is ill-formed, a fragment each",
        (*(_open(bad)), UntilGone(), frame(b"", CONT)),
        code=NOT_UTF8,
    )
    yield Case(
        "6.4 fails at the first of a pair's halves",
        (frame(b"\xed", fin=False), frame(b"\xa0", CONT, fin=False), UntilGone()),
        code=NOT_UTF8,
    )
    yield Case(
        "6.4 fails at the end of a frame that comes in pieces",
        chopped(frame(bad + b"rest"), 7),
        code=NOT_UTF8,
        verdict=NON_STRICT,
    )
    yield Case(
        "6.4 fails at the end of a fragment that comes in pieces",
        chopped(frame(bad + b"rest", fin=False), 7),
        code=NOT_UTF8,
        verdict=NON_STRICT,
    )
    yield Case(
        "6.4 a ping between the bytes of a character",
        (frame(b"\xce", fin=False), frame(b"p", PING), frame(b"\xba", CONT), BYE),
        (Said(PONG, b"p"), text(b"\xce\xba")),
    )
    for name, sequences in WELL_FORMED.items():
        for data in sequences:
            yield Case(f"6.5 {name}: {data.hex()}", (frame(data), BYE), (text(data),))
            yield Case(f"6.6 {name}, byte by byte: {data.hex()}", (*fragments(data, 1), BYE), (text(data),))
    for name, sequences in ILL_FORMED.items():
        for data in sequences:
            yield Case(f"6.7 {name}: {data.hex()}", (frame(data),), code=NOT_UTF8)
            yield Case(f"6.8 {name}, byte by byte: {data.hex()}", fragments(data, 1), code=NOT_UTF8)
    mixed = (frame(b"\xff\xfe", BINARY, fin=False), frame(b"\x80", CONT), frame(GREEK), BYE)
    yield Case("6.9 binary is not checked", mixed, (binary(b"\xff\xfe\x80"), text(GREEK)))


def _prefix(data: bytes) -> Iterator[Case]:
    try:
        codecs.decode(data, "utf-8")
    except UnicodeDecodeError:
        yield Case(f"6.3 torn after {len(data)} bytes", (frame(data),), code=NOT_UTF8)
        yield Case(f"6.3 torn after {len(data)} bytes, byte by byte", fragments(data, 1), code=NOT_UTF8)
    else:
        yield Case(f"6.3 {len(data)} bytes", (frame(data), BYE), (text(data),))
        yield Case(f"6.3 {len(data)} bytes, byte by byte", (*fragments(data, 1), BYE), (text(data),))


def _open(data: bytes) -> tuple[bytes, ...]:
    """Make the frames of a message that does not end, up to the byte after which it cannot be well-formed."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for count in range(len(data)):
        try:
            decoder.decode(data[count : count + 1])
        except UnicodeDecodeError:
            return tuple(frame(data[at : at + 1], CONT if at else TEXT, fin=False) for at in range(count + 1))
    raise AssertionError("it is well-formed")


ALLOWED_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
REFUSED_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)


def closing() -> Iterator[Case]:
    hello, ping = frame(b"Hello"), frame(b"p", PING)
    yield Case("7.1 after a message", (hello, BYE), (text(b"Hello"),))
    for name, after in (("a close", BYE), ("a ping", ping), ("a message", hello)):
        yield Case(f"7.1 {name} after it is ignored", (BYE + after,))
    yield Case("7.1 between fragments", (frame(b"a", fin=False) + BYE + frame(b"b", CONT),))
    large = b"*" * (256 << 10)
    yield Case("7.1 after a large message", (frame(large), hello + BYE + ping), (text(large), text(b"Hello")))
    yield Case("7.3 empty", (frame(b"", CLOSE),), code=NO_CODE)
    yield Case("7.3 one byte", (frame(b"\x03", CLOSE),), code=VIOLATION)
    yield Case("7.3 a code", (close_frame(1000),))
    yield Case("7.3 a reason", (close_frame(1000, "Hello"),))
    yield Case("7.3 the longest reason", (close_frame(1000, "*" * 123),))
    yield Case("7.3 a reason that is too long", (close_frame(1000, "*" * 124),), code=VIOLATION)
    yield Case("7.3 a reason in many scripts", (frame(b"\x03\xe8" + SENTENCE + GREEK, CLOSE),))
    for data in (b"\xff", GREEK + b"\xed\xa0\x80edited", b"\xce", b"*" * 122 + b"\xce"):
        yield Case(
            f"7.5 a reason that is not UTF-8: {data[-9:].hex()}", (frame(b"\x03\xe8" + data, CLOSE),), code=NOT_UTF8
        )
    for code in ALLOWED_CODES:
        yield Case(f"7.7 code {code}", (close_frame(code),), code=code)
        yield Case(f"7.7 code {code} with a reason", (close_frame(code, "why"),), code=code)
    for code in REFUSED_CODES:
        yield Case(f"7.9 code {code}", (close_frame(code),), code=VIOLATION)
        yield Case(f"7.9 code {code} with a reason", (close_frame(code, "why"),), code=VIOLATION)


def limits() -> Iterator[Case]:
    for section, opcode, letter in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        for size in (64 << 10, 256 << 10, 1 << 20):
            data = letter * size
            yield Case(f"9.{section} {size} bytes", (frame(data, opcode), BYE), (Said(opcode, data),))
        data = letter * (1 << 20)
        for size in (64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10):
            if size >= 1 << 10:
                steps = (b"".join(fragments(data, size, opcode)), BYE)
                yield Case(f"9.{section + 2} a megabyte in fragments of {size}", steps, (Said(opcode, data),))
            small = data[: 64 << 10]
            steps = (b"".join(fragments(small, size, opcode)), BYE)
            yield Case(f"9.{section + 2} 64 KiB in fragments of {size}", steps, (Said(opcode, small),))
            steps = (*chopped(frame(data, opcode), max(size, 1 << 10)), BYE)
            yield Case(f"9.{section + 4} a megabyte in pieces of {size}", steps, (Said(opcode, data),))
        for size in (0, 16, 64, 256, 1 << 10, 4 << 10):
            messages = [(b"%d" % number + letter * size)[:size] for number in range(300)]
            one_by_one = tuple(frame(each, opcode) for each in messages)
            heard = tuple(Said(opcode, each) for each in messages)
            yield Case(f"9.{section + 6} 300 messages of {size} bytes", (*one_by_one, BYE), heard)
            yield Case(f"9.{section + 6} the same at once, {size}", (b"".join(one_by_one), BYE), heard)


def auto_fragmentation() -> Iterator[Case]:
    data = b"*" * (64 << 10)
    yield Case("10.1 64 KiB in fragments of 1300", (*fragments(data, 1300), BYE), (text(data),))
    data = b"\xfe" * (64 << 10)
    yield Case("10.1 the same in binary", (*fragments(data, 1300, BINARY), BYE), (binary(data),))


CASES: tuple[Case, ...] = (
    *framing(),
    *pings(),
    *reserved_bits(),
    *opcodes(),
    *fragmentation(),
    *utf8(),
    *closing(),
    *limits(),
    *auto_fragmentation(),
)


# ---- the runner


def echo(duplex: Duplex, wire: Wire) -> None:
    """Send back what is received, until the connection ends; refuse what the JSON decoder would refuse."""
    with suppress(APIConnectionError):
        while True:
            message = wire.read(Deadline(BOUND))
            if message is None:
                return  # the service said nothing more, and did not close
            if isinstance(message, BinaryMessage):
                duplex.queue(Frame(ABNF.create_frame(bytes(message), BINARY).format()))
            elif message:
                try:
                    str(message, "utf-8")
                except UnicodeDecodeError:
                    wire.send_close(NOT_UTF8)
                    return
                wire.post(bytes(message))


class Service:
    """Plays a case's steps, and writes down what is heard meanwhile."""

    def __init__(self, far: Far) -> None:
        self._far = far
        self._is_gone = threading.Event()
        self.heard: list[Said] = []
        self.was_late = False

    def send(self, steps: tuple[Step, ...]) -> None:
        with suppress(OSError):  # the client may end before all is sent
            for step in steps:
                if isinstance(step, UntilGone):
                    self.was_late |= not self._is_gone.wait(BOUND)
                else:
                    self._far.send(step)

    def hear(self) -> Optional[int]:
        """Hear all; give the code of the close frame, or None where the connection ended without one."""
        try:
            while True:
                said = self._far.hear()
                if said.opcode == CLOSE:
                    break
                self.heard.append(said)
        except (EOFError, ConnectionError):
            return None
        except socket.timeout:  # not a TimeoutError before Python 3.10
            self.was_late = True
            return None
        finally:
            self._is_gone.set()
        code = int.from_bytes(said.data[:2], "big") if said.data else NO_CODE
        with suppress(EOFError, OSError):
            self.heard.append(self._far.hear())  # nothing may follow
        return code


def run(case: Case) -> tuple[str, str]:
    """Try a case; give the verdict, and what happened where it is no pass."""
    with connected(None, small_buffers=False) as (near, far):
        far.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        duplex = Duplex(near)
        wire = Wire(duplex, response_headers={})
        service = Service(far)

        def play_client() -> None:
            try:
                echo(duplex, wire)
            finally:
                wire.release()

        threads = [threading.Thread(target=play_client), threading.Thread(target=service.send, args=(case.steps,))]
        for thread in threads:
            thread.start()
        try:
            code = service.hear()
        finally:
            for thread in threads:
                thread.join(2 * BOUND)
    story = f"heard {len(service.heard)} frames, then close code {code}; late: {service.was_late}"
    if any(thread.is_alive() for thread in threads):
        return FAIL, f"a thread did not end; {story}"
    if tuple(service.heard) != case.heard or service.was_late:
        return FAIL, story
    if code == case.code:
        return case.verdict, story
    if code is None and case.code in (VIOLATION, NOT_UTF8):
        return NON_STRICT, story  # ended, as it must be, and without saying why
    return FAIL, story


def main() -> None:
    """Print the table by chapter, and each case that fails."""
    table: dict[int, dict[str, int]] = {}
    for case in CASES:
        verdict, story = run(case)
        row = table.setdefault(case.chapter, {OK: 0, NON_STRICT: 0, FAIL: 0})
        row[verdict] += 1
        if verdict == FAIL:
            print(f"{case.name}: {story}")
    print(f"{'chapter':>7} {OK:>6} {NON_STRICT:>11} {FAIL:>6}")
    for chapter, row in table.items():
        print(f"{chapter:>7} {row[OK]:>6} {row[NON_STRICT]:>11} {row[FAIL]:>6}")
    totals = {verdict: sum(row[verdict] for row in table.values()) for verdict in (OK, NON_STRICT, FAIL)}
    print(f"{'all':>7} {totals[OK]:>6} {totals[NON_STRICT]:>11} {totals[FAIL]:>6}")


if __name__ == "__main__":
    main()
