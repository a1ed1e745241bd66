"""What was tried against the server, each attack on a process of its own, whose memory is measured.

After each, memory is back within 32 MiB, nobody else has waited for long, and no client's mistake is a traceback.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..support import attacks
from ..support.attacks import MIB, Attacked, events, message

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux for the memory"),
    pytest.mark.timeout(120),
]

LONGEST_WAIT = 5.0
"""A machine that is busy with other tests is slow; what stops everybody takes longer than that, or for ever."""


@contextlib.contextmanager
def attacked(**options: Any) -> Iterator[Attacked]:
    """A server that has worked before, and is to have its memory back afterwards."""
    with Attacked(**options) as server:
        assert server.speak("One. Two.").status_code == 200
        assert attacks.changed(server, attacks.wav(8000, 16000)) == 200
        before = server.resident("settle")
        yield server
        after = server.resident("settle")
        assert "Traceback" not in server.printed
        assert after - before < 32 * MIB, f"{before / MIB:.0f} MiB before, {after / MIB:.0f} after"


def closed(raws: list[socket.socket]) -> None:
    for raw in raws:
        raw.close()


def test_odd_sample_rates() -> None:
    with attacked() as server:
        before = server.resident()
        assert attacks.odd_rates(server) == {200}
        assert server.resident() - before < 32 * MIB


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("breaks_nobody_reads", 192),
        ("answers_nobody_reads", 192),
        ("many_streams_nobody_reads", 96),
        ("unfinished_fragments", 8 * 16 + 64),
        ("idle_sockets", 64),
    ],
)
def test_what_nobody_reads_or_ends(name: str, most: int) -> None:
    """While it goes on memory has an end; a bystander is served meanwhile."""
    with attacked() as server:
        before = server.resident()
        raws = getattr(attacks, name)(server)
        for _ in range(5):
            assert server.speak("I have my turn.").status_code == 200
        assert server.resident() - before < most * MIB
        closed(raws)


def test_more_contexts_than_a_socket_may_have() -> None:
    with attacked() as server:
        found = attacks.many_contexts(server)
        assert found["concurrency_limited"] > 50_000


def test_more_text_than_may_wait() -> None:
    with attacked() as server, attacks.bystander(server) as beside:
        found = attacks.text_that_waits(server)
        assert found["Too much text"] >= 10
    assert beside.longest < LONGEST_WAIT


def test_ids_and_values_that_would_be_repeated() -> None:
    with attacked() as server:
        assert attacks.long_ids(server) == {"Invalid context_id": 100}
        assert attacks.long_values(server) < 2000


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("gzip_bomb", [413, 401]),
        ("large_json", ["413", "401"]),
        ("json_of_many_values", [400, "Invalid request"]),
        ("many_parts", 413),
        ("large_dictionary", "chunk"),
        ("long_numbers", {400}),
        ("broken_forms", {(400, "application/json")}),
    ],
)
def test_bodies(name: str, got: Any) -> None:
    with attacked() as server, attacks.bystander(server) as beside:
        assert getattr(attacks, name)(server) == got
    assert beside.longest < LONGEST_WAIT


def test_what_is_no_http_is_refused_in_the_shape_of_all_errors() -> None:
    with attacked() as server:
        found = attacks.broken_http(server)
        assert {(kind, has_title) for _, kind, has_title in found} == {("application/json", True)}
        assert {status for status, _, _ in found} == {"400", "417"}


def test_a_dictionary_that_makes_much_of_a_word() -> None:
    with attacked(engine="auto") as server, attacks.bystander(server, "Me too.") as beside:
        assert attacks.long_alias(server) == ("chunk", "error")
    assert beside.count > 0
    assert beside.longest < LONGEST_WAIT


def test_the_largest_upload() -> None:
    with attacked(idle_timeout=10) as server, attacks.bystander(server) as beside:
        before = server.resident()
        begun = attacks.begin_large_upload(server)
        assert beside.peak - before < 256 * MIB  # 99 MiB of it are the upload
        begun.close()
    assert beside.longest < LONGEST_WAIT


def test_records_have_an_end_and_can_be_forgotten() -> None:
    with attacked(record=True) as server:
        before = server.resident()
        attacks.large_records(server)
        assert server.resident() - before < 256 * MIB
        server.resident("forget")


def test_what_requests_make_has_an_end() -> None:
    with Attacked() as server:
        before = server.resident("settle")
        found = attacks.many_records_of_the_store(server)
        assert found[403] > 200
        assert found[200] >= 30
        assert server.resident("settle") - before < 128 * MIB


def test_storms() -> None:
    with attacked() as server, attacks.bystander(server) as beside:
        found = attacks.storms(server)
        assert found["flush_done"] > 1000
    assert beside.longest < LONGEST_WAIT


def test_a_newcomer_beside_many_that_are_busy() -> None:
    """Two hundred contexts have text for minutes; whoever comes is heard soon."""
    with attacked(engine="auto") as server:
        raw = server.dial()
        text = "This is a sentence of some words, which takes a while. " * 100
        raw.sendall(b"".join(message(f"c{number}", text) for number in range(200)))
        begun = set()
        heard = events(raw)
        while len(begun) < 20:
            begun.add(next(heard)["context_id"])
        with server.dial() as newcomer, attacks.drained(raw):
            newcomer.sendall(message("new", "Hello."))
            newcomer.settimeout(LONGEST_WAIT)
            assert next(events(newcomer))["type"] == "chunk"
