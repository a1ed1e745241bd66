"""Bytes to events, as the HTML standard says (section 9.2.6)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.errors import MessageTooBigError
from cartesia_sync.protocol.sse import EventStreamReader

BOM = b"\xef\xbb\xbf"
STREAMS: list[tuple[bytes, list[bytes]]] = [
    (b"data: a\n\n", [b"a"]),
    (b"data:a\n\n", [b"a"]),
    (b"data:  a \n\n", [b" a "]),
    (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    (b"data: a\r\n\ndata: b\n\r", [b"a", b"b"]),
    (b"data: a\ndata: b\ndata:\n\n", [b"a\nb\n"]),
    (b"data\n\n", [b""]),
    (b"data\ndata\n\n", [b"\n"]),
    (b": a comment\ndata: a\n: another\n\n", [b"a"]),
    (b"event: error\nid: 7\nretry: 5\ndata: a\n\n", [b"a"]),
    (b"event: ping\n\n\n\ndata: a\n\n", [b"a"]),
    (b"dataless: a\n\nDATA: a\n\n data: a\n\n", []),
    (b"data: a:b: c\n\n", [b"a:b: c"]),
    (BOM + b"data: a\n\n" + BOM + b"data: b\n\n", [b"a"]),
    (BOM[:2] + b"data: a\n\ndata: b\n\n", [b"b"]),
    (b"\n" + BOM + b"data: a\n\n", []),
    (b"data: a\n\ndata: cut", [b"a"]),
    (b"data: a\n\ndata: cut\n", [b"a"]),
    (b"data: \xff\x00\xc3\x28\n\n", [b"\xff\x00\xc3\x28"]),
    ("data: a\u2028b\x0bc\x1cd\x85e\n\n".encode(), ["a\u2028b\x0bc\x1cd\x85e".encode()]),
    (b"", []),
]


def read(*pieces: bytes, most: int = 1000) -> list[bytes]:
    reader = EventStreamReader(most)
    return [event for piece in pieces for event in reader.feed(piece)]


@pytest.mark.parametrize(("stream", "events"), STREAMS)
def test_each_form_of_event_is_read(stream: bytes, events: list[bytes]) -> None:
    assert read(stream) == events


@pytest.mark.parametrize(("stream", "events"), STREAMS)
def test_it_does_not_matter_where_the_pieces_end(stream: bytes, events: list[bytes]) -> None:
    assert read(*(stream[at : at + 1] for at in range(len(stream)))) == events
    for at in range(len(stream) + 1):
        assert read(stream[:at], b"", stream[at:]) == events


def test_an_event_is_given_as_soon_as_its_end_is_there() -> None:
    reader = EventStreamReader(1000)
    assert list(reader.feed(b"data: a\r\n")) == []
    assert list(reader.feed(b"\r")) == [b"a"]  # without waiting for a line feed that may belong to it
    assert list(reader.feed(b"\ndata: b\n\n")) == [b"b"]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"a" * 100],
        [b"data: " + b"a" * 100 + b"\n\n"],
        [b": " + b"a" * 100],
        [b"a" * 60, b"a" * 60],
        [b"data: aaaaaaaaaa\n"] * 10,
        [b"data\n"] * 101 + [b"x"],
    ],
)
def test_an_event_that_is_larger_than_the_limit_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises(MessageTooBigError, match="an event of more than 100 bytes") as refused:
        read(*pieces, most=100)
    assert refused.value.limit_bytes == 100


def test_the_limit_is_each_events_own() -> None:
    assert read(b"data: 0123456789\n\n" * 50, most=20) == [b"0123456789"] * 50


def reference(stream: bytes) -> list[bytes]:
    """Read a whole stream in the simplest way."""
    stream = stream[3:] if stream.startswith(BOM) else stream
    events: list[bytes] = []
    data: list[bytes] = []
    lines = re.split(rb"\r\n|\r|\n", stream)
    for line in lines[:-1]:  # what is behind the last end of a line is no line
        if not line:
            if data:
                events.append(b"\n".join(data))
            data = []
        elif line == b"data":
            data.append(b"")
        elif line.startswith(b"data:"):
            data.append(line[6:] if line[5:6] == b" " else line[5:])
    return events


PARTS = st.sampled_from([b"data", b":", b" ", b"\n", b"\r", b"\r\n", b"a", b"event: x", BOM, b"data: b\n\n", b"\x85"])


@given(st.lists(PARTS, max_size=40).map(b"".join), st.lists(st.integers(0, 200), max_size=5))
def test_it_reads_what_the_simplest_reader_reads(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(each, len(stream)) for each in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in zip(places, places[1:])]
    assert read(*pieces, most=10_000) == reference(stream)
