"""That the search for secrets, which runs after every test, would find one: each way to tell it, tried."""

from __future__ import annotations

import logging
import warnings
from typing import Callable

import pytest
import requests

from cartesia_sync import APIConnectionError, APIStatusError, Cartesia, CartesiaError
from cartesia_sync.errors import APITimeoutError, ContextStateError, TruncatedError

from ..support import leaks

KEY = "sk_car_made_up_to_be_found"
"""What the tests below let slip; each takes it out of the suite's own record again."""


@pytest.fixture
def record() -> leaks.Leaks:
    """A record of one's own."""
    return leaks.Leaks()


def behind(error: BaseException) -> BaseException:
    """Return an exception that was raised because of another one."""
    outer = ValueError("harmless")
    outer.__cause__ = KeyError("harmless too")
    outer.__cause__.__context__ = error
    return outer


def holding(**facts: object) -> BaseException:
    error = ValueError("harmless")
    vars(error).update(facts)
    return error


# ---- what is found


@pytest.mark.parametrize(
    "error",
    [
        ValueError(KEY),
        ValueError("harmless", {"headers": [("Authorization", f"Bearer {KEY}")]}),
        OSError(1, "no", KEY),
        UnicodeDecodeError("utf-8", KEY.encode(), 0, 1, "harmless"),
        SyntaxError("harmless", ("file", 1, 1, KEY)),
        holding(body={"request": {"api_key": KEY}}),
        holding(last=holding(url=f"https://h/?api_key={KEY}")),
        holding(__notes__=[KEY]),
        behind(ValueError(KEY)),
        behind(holding(key=KEY.encode())),
    ],
    ids=["text", "argument", "system", "bytes", "line", "attribute", "deep", "note", "behind", "deep behind"],
)
def test_a_key_anywhere_in_an_exception_is_found(record: leaks.Leaks, error: BaseException) -> None:
    record.tell_error(error)
    assert any(KEY in text for text in record.take())
    assert record.take() == []


@pytest.mark.parametrize(
    "log",
    [
        lambda logger: logger.debug("sent %s", KEY),
        lambda logger: logger.debug("sent", extra={"threadName_": KEY}) or logger.debug(f"sent {KEY}"),
        lambda logger: logger.debug("sent %(all)s", {"all": "all", "key": KEY}),
        lambda logger: logger.error("failed", exc_info=behind(ValueError(KEY))),
        lambda logger: logger.getChild(KEY).info("sent"),
    ],
    ids=["argument", "text", "argument that is not shown", "exception", "name"],
)
def test_a_key_anywhere_in_a_log_record_is_found(record: leaks.Leaks, log: Callable[[logging.Logger], None]) -> None:
    logger = logging.Logger("its own")
    logger.manager = logging.Manager(logger)  # type: ignore[arg-type]  # it takes any for its root
    logger.addHandler(leaks.Handler(record))
    log(logger)
    assert any(KEY in text for text in record.take())


def test_a_credential_of_a_client_is_found_however_it_is_written(record: leaks.Leaks) -> None:
    record.keep_secret("Tr0ub4dor&3")
    record.tell("the password is Tr0ub4dor&3, says the proxy")
    record.tell("nothing here")
    assert record.take() == ["the password is Tr0ub4dor&3, says the proxy"]


@pytest.mark.parametrize(
    "words",
    ["sk_car_...", "CARTESIA_API_KEY", "task_force_one", "disk_usage_of", "any", "a key of 8 letters", "an sk_ word"],
)
def test_honest_words_are_no_leak(record: leaks.Leaks, words: str) -> None:
    record.keep_secret("any")
    record.keep_secret("k")
    record.keep_secret(None)
    record.tell(words)
    record.tell_error(ValueError(words))
    assert record.take() == []


# ---- that the suite's own record hears it


def found() -> bool:
    """Take it out of the suite's record, or this test would fail as it should."""
    return any(KEY in text for text in leaks.SUITE.take())


@pytest.mark.parametrize("name", ["cartesia_sync", "urllib3.connectionpool", "websocket", "asyncio", "users.own"])
def test_what_any_library_logs_is_heard(name: str) -> None:
    logging.getLogger(name).debug("Authorization: Bearer %s", KEY)
    assert found()


def test_an_exception_that_is_caught_and_dropped_is_heard() -> None:
    for make in (CartesiaError, ContextStateError, TruncatedError, APITimeoutError, APIConnectionError):
        try:
            raise make(f"harmful: {KEY}")
        except CartesiaError:
            pass  # as a test does that looks at something else
        assert found(), make


def test_what_is_put_into_an_exception_later_is_heard() -> None:
    error = APIStatusError("harmless", status_code=401)
    error.body = {"message": KEY}
    del error
    assert found()


def test_an_exception_that_is_still_held_is_heard() -> None:
    held = APIStatusError("harmless", headers={"x-key": KEY})
    assert found()
    held.headers = {}


def test_what_a_foreign_exception_was_the_cause_of_is_heard() -> None:
    def fail() -> None:
        try:
            raise OSError(KEY)
        except OSError as error:
            raise APIConnectionError("harmless") from error

    with pytest.raises(APIConnectionError, match="harmless"):
        fail()
    assert found()


def test_a_foreign_exception_that_a_test_expects_is_heard() -> None:
    with pytest.raises(ValueError, match="sk_car"):
        raise ValueError(KEY)
    assert found()


def test_a_client_without_a_key_of_that_form_is_heard() -> None:
    Cartesia(api_key="no-such-form-of-key")
    logging.getLogger("cartesia_sync").debug("no-such-form-of-key")
    assert leaks.SUITE.take()


def test_a_url_that_is_dialled_is_heard() -> None:
    with requests.Session() as session, pytest.raises(requests.exceptions.RequestException):
        session.get(f"nonsense://h/?api_key={KEY}")
    assert found()


def test_a_warning_is_an_exception_here() -> None:
    """So that there is nothing else to hear."""
    with pytest.raises(UserWarning, match="sk_car"):
        warnings.warn(KEY, stacklevel=1)
    assert found()
