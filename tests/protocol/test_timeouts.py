from __future__ import annotations

import dataclasses
import pickle
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from cartesia_sync.protocol.requests import omit
from cartesia_sync.protocol.timeouts import Timeout, checked_seconds, checked_size

CLOCKS = tuple(field.name for field in dataclasses.fields(Timeout))
NO_CLOCKS: tuple[Any, ...] = (
    0,
    0.0,
    -0.0,
    -1,
    -0.001,
    float("nan"),
    float("inf"),
    float("-inf"),
    True,
    False,
    "5",
    b"5",
    "",
    [],
    {},
    1j,
    2_000_001,
    2**31 / 1000 + 1,  # what poll() takes at most, in milliseconds
    threading.TIMEOUT_MAX * 2,
    1e300,
)


def test_the_clocks_are_seven_and_all_but_one_run_by_default() -> None:
    assert dataclasses.asdict(Timeout()) == {
        "connect": 5.0,
        "read": 60.0,
        "write": 10.0,
        "first_event": 60.0,
        "gap": 60.0,
        "whole": None,
        "close": 2.0,
    }


@pytest.mark.parametrize("seconds", [3, 0.25, 1e-9, None])
def test_one_number_stands_for_connect_read_first_event_and_gap(seconds: float | None) -> None:
    usual = Timeout()
    timeout = Timeout.of(seconds)
    assert (timeout.connect, timeout.read, timeout.first_event, timeout.gap) == (seconds,) * 4
    assert (timeout.write, timeout.whole, timeout.close) == (usual.write, usual.whole, usual.close)


@pytest.mark.parametrize("pair", [(1, 2), (0.1, None), (None, 0.5), (None, None)])
def test_a_pair_is_connect_and_read_as_users_of_requests_write_it(pair: tuple[float | None, float | None]) -> None:
    assert Timeout.of(pair) == Timeout(connect=pair[0], read=pair[1])


@pytest.mark.parametrize("wrong", [(), (1,), (1, 2, 3)])
def test_a_tuple_of_another_length_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"timeout: expected \(connect, read\), got {len(wrong)} values"):
        Timeout.of(wrong)


@pytest.mark.parametrize("wrong", [("1", 2), (0, 2), (float("nan"), None)])
def test_a_pair_whose_first_is_no_clock_is_refused_by_its_place(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"^timeout\[0\], the connect clock: expected a number of seconds above 0"):
        Timeout.of(wrong)


@pytest.mark.parametrize("wrong", [(1, -2), (1, float("inf")), (None, True)])
def test_a_pair_whose_second_is_no_clock_is_refused_by_its_place(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"^timeout\[1\], the read clock: expected a number of seconds above 0"):
        Timeout.of(wrong)


def test_httpx_clocks_are_read_by_their_names() -> None:
    httpx = pytest.importorskip("httpx")
    timeout = Timeout.of(httpx.Timeout(60.0, read=5.0, write=7.0, connect=2.0))
    assert timeout == Timeout(connect=2.0, read=5.0, write=7.0, first_event=5.0, gap=5.0)
    assert Timeout.of(httpx.Timeout(None)) == Timeout(connect=None, read=None, write=None, first_event=None, gap=None)


def test_a_timeout_is_made_as_httpx_makes_one() -> None:
    """The official package has ``httpx.Timeout`` under the name that ours has in this package."""
    httpx = pytest.importorskip("httpx")
    some: dict[str, Any] = {"timeout": 60.0, "connect": 2.0, "pool": 1.0, "read": None}
    for arguments in ({"timeout": 60.0}, {"timeout": None}, some):
        assert Timeout(**arguments) == Timeout.of(httpx.Timeout(**arguments))
    assert Timeout(3) == Timeout(connect=3, read=3, write=3, first_event=3, gap=3)
    assert (Timeout(3).whole, Timeout(3).close) == (Timeout().whole, Timeout().close)
    assert Timeout(gap=1, read=omit).read == Timeout().read
    with pytest.raises(ValueError, match=r"^timeout: expected a number of seconds above 0"):
        Timeout(0)


def test_what_has_the_four_clocks_of_httpx_is_taken_for_one_without_httpx() -> None:
    clocks = SimpleNamespace(connect=1, read=2, write=3, pool=4)
    assert Timeout.of(clocks) == Timeout(connect=1, read=2, write=3, first_event=2, gap=2)
    clocks.write = 0
    with pytest.raises(ValueError, match=r"^timeout\.write: expected a number of seconds above 0"):
        Timeout.of(clocks)


def test_a_timeout_that_was_not_given_is_the_default() -> None:
    assert Timeout.of(omit) == Timeout()


def test_a_timeout_stands_for_itself() -> None:
    timeout = Timeout(gap=1)
    assert Timeout.of(timeout) is timeout


@pytest.mark.parametrize("seconds", [1, 0.001, 1e-9, 86400, 2_000_000, None])
def test_every_clock_takes_seconds_above_0_and_none(seconds: float | None) -> None:
    assert [getattr(Timeout(**{clock: seconds}), clock) for clock in CLOCKS] == [seconds] * len(CLOCKS)
    assert checked_seconds("any", seconds) == seconds


@pytest.mark.parametrize("value", [*NO_CLOCKS, (1, 2)], ids=repr)
def test_what_is_no_clock_is_refused_by_its_name_and_is_shown(value: Any) -> None:
    """``timeout=False`` means no limit to some; and more than three weeks would fail in mid-wait, in a lock or poll."""
    for clock in CLOCKS:
        with pytest.raises(ValueError, match=rf"^{clock}: expected a number of seconds above 0 and at most 2000000, "):
            Timeout(**{clock: value})
    with pytest.raises(ValueError, match=r"^ping_interval: ") as refused:
        checked_seconds("ping_interval", value)
    assert str(refused.value).endswith(f" or None to switch it off; got {value!r}")


@pytest.mark.parametrize("value", NO_CLOCKS, ids=repr)
def test_of_refuses_by_the_name_that_the_user_knows(value: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^timeout: expected .* a pair \(connect, read\), a Timeout, or None .*; got "
    ):
        Timeout.of(value)


@pytest.mark.parametrize("argument", ["timeout", "first_event_timeout", "whole_timeout"])
@pytest.mark.parametrize("value", NO_CLOCKS, ids=repr)
def test_a_contexts_clock_is_refused_by_the_name_of_the_argument(argument: str, value: Any) -> None:
    given: dict[str, Any] = {"timeout": omit, "first_event_timeout": omit, "whole_timeout": omit, argument: value}
    with pytest.raises(ValueError, match=rf"^{argument}: expected a number of seconds above 0"):
        Timeout().of_context(**given)


def test_a_contexts_clocks_replace_those_of_the_connection() -> None:
    usual = Timeout(first_event=3, gap=4, whole=5)
    assert usual.of_context(timeout=omit, first_event_timeout=omit, whole_timeout=omit) is usual
    assert usual.of_context(timeout=1, first_event_timeout=omit, whole_timeout=None) == Timeout(first_event=1, gap=1)
    assert usual.of_context(timeout=1, first_event_timeout=2, whole_timeout=omit) == Timeout(
        first_event=2, gap=1, whole=5
    )


def test_a_number_that_python_does_not_write_out_is_refused_by_name_too() -> None:
    with pytest.raises(ValueError, match=r"^whole: expected .* got "):
        Timeout(whole=10**5000)


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(ValueError, match=r"^gap: ") as refused:
        Timeout(gap="x" * 100_000)  # type: ignore[arg-type]  # the point of the test
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("value", [1, 2, 16 << 20, 1 << 80])
def test_a_size_is_a_whole_number_of_bytes(value: int) -> None:
    assert checked_size("max_message_bytes", value) == value


@pytest.mark.parametrize(
    "value", [0, -1, 1.0, 1.5, float("nan"), float("inf"), True, False, "1", b"1", None, [], omit], ids=repr
)
def test_what_is_no_size_is_refused_by_its_name_and_is_shown(value: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^max_message_bytes: expected a whole number of bytes, 1 or more; "
    ) as refused:
        checked_size("max_message_bytes", value)
    assert str(refused.value).endswith(f"; got {value!r}")


def test_replace_sets_what_is_given_and_leaves_the_rest() -> None:
    timeout = Timeout(gap=1, whole=2, first_event=3)
    assert timeout.replace(gap=9, whole=None, first_event=omit) == Timeout(gap=9, whole=None, first_event=3)
    assert timeout == Timeout(gap=1, whole=2, first_event=3)


def test_replace_with_nothing_gives_the_same_clocks() -> None:
    timeout = Timeout(gap=1)
    assert timeout.replace() is timeout
    assert timeout.replace(gap=omit, whole=omit) is timeout


def test_replace_checks_too() -> None:
    with pytest.raises(ValueError, match=r"^gap: "):
        Timeout().replace(gap=-1)
    with pytest.raises(TypeError, match="no_such_clock"):
        Timeout().replace(no_such_clock=1)


def test_a_timeout_can_be_shared_since_it_cannot_be_changed() -> None:
    timeout = Timeout()
    with pytest.raises(dataclasses.FrozenInstanceError):
        timeout.gap = 1.0  # type: ignore[misc]  # the point of the test
    assert hash(timeout) == hash(Timeout())
    assert pickle.loads(pickle.dumps(timeout)) == timeout
