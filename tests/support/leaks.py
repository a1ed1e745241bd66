"""What a test run told the world, searched for the keys that were used in it.

Whatever was logged, warned of, printed or raised, and every URL that was dialled, is kept until the test ends. Of an
exception all is taken that a program could show: its text, its attributes and notes, and those of the exceptions behind
it. A traceback without its local variables shows no more than these, and lines of source: what stands there its author
wrote, and not the client.
"""

from __future__ import annotations

import functools
import logging
import re
import weakref
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import requests
import websocket

from cartesia_sync import Cartesia, CartesiaError

SHORTEST_CREDENTIAL = 8
"""Shorter ones ("any", "k") stand in honest words by chance."""

LIKE_A_SECRET = re.compile(r"(?<![A-Za-z0-9])sk_(?!car\b|car_(?![A-Za-z0-9]))[\w-]{4,}|very-secret|s3cret|passw0rd")
"""How the tests' keys, tokens and passwords are written, whether or not a client was made with them."""


class SecretTold(Exception):  # noqa: N818  # what has happened
    """A secret was told."""


class Leaks:
    """What was told, and the credentials that must not be in it.

    Threads: any may tell, a finalizer included: nothing here takes a lock.
    """

    def __init__(self) -> None:
        self._told: list[str] = []
        self._credentials: set[str] = set()
        self._raised: dict[int, weakref.ref[BaseException]] = {}
        self._outlived: set[int] = set()  # those that were there when a test ended; they are told again at their end

    # ---- what is told

    def tell(self, text: str) -> None:
        self._told.append(text)

    def tell_error(self, error: BaseException) -> None:
        """Take down an exception and those behind it."""
        self._told.extend(_words_of(error, set()))

    def tell_record(self, record: logging.LogRecord) -> None:
        self._told += (f"{record.name} {record.threadName} {record.getMessage()}", repr(record.args))
        if record.exc_info and record.exc_info[1] is not None:
            self.tell_error(record.exc_info[1])

    def keep_secret(self, credential: object) -> None:
        """Look for this one too."""
        if isinstance(credential, str) and len(credential.strip()) >= SHORTEST_CREDENTIAL:
            self._credentials.add(credential.strip())

    def watch(self, error: BaseException) -> None:
        """Take an exception down later, with what has become of it by then; it is not kept alive."""
        self._outlived.discard(id(error))  # another one's, which had the same number
        self._raised[id(error)] = weakref.ref(error)

    def let_go(self, error: BaseException) -> None:
        """Take an exception down that is at its end."""
        if self._raised.pop(id(error), None) is not None or id(error) in self._outlived:
            self._outlived.discard(id(error))
            self.tell_error(error)

    # ---- what is found

    def check(self) -> None:
        """Forget what was told so far.

        Raises:
            SecretTold: There was a secret in it.
        """
        found = self.take()
        if found:
            raise SecretTold("\n".join(found))

    def take(self) -> list[str]:
        """Return every text told so far that holds a secret, and forget what was told."""
        while self._raised:
            try:
                number, watched = self._raised.popitem()
            except KeyError:
                break  # another thread let the last one go
            self._outlived.add(number)
            error = watched()
            if error is not None:
                self.tell_error(error)
        told, self._told = self._told, []
        whole = "\n".join(told)
        if not LIKE_A_SECRET.search(whole) and not any(each in whole for each in self._credentials):
            return []
        return [text for text in told if LIKE_A_SECRET.search(text) or any(each in text for each in self._credentials)]


def _words_of(error: BaseException, seen: set[int]) -> Iterator[str]:
    if id(error) in seen:
        return
    seen.add(id(error))
    if not type(error).__module__.startswith("tests."):  # a test's own holds what the test put there
        yield from _own_words_of(error, seen)
    for behind in (error.__cause__, error.__context__):
        if behind is not None:
            yield from _words_of(behind, seen)


def _own_words_of(error: BaseException, seen: set[int]) -> Iterator[str]:
    yield from (str(error), repr(error), repr(error.args))
    for name, value in vars(error).items():
        if name == "transcripts":
            continue  # the caller's own words, of many megabytes in some tests
        yield f"{name}: {value!r}"
        if isinstance(value, BaseException):
            yield from _words_of(value, seen)


class Handler(logging.Handler):
    """Reports every log record."""

    def __init__(self, leaks: Leaks) -> None:
        super().__init__(logging.DEBUG)
        self._leaks = leaks

    def emit(self, record: logging.LogRecord) -> None:
        self._leaks.tell_record(record)


def install(leaks: Leaks) -> Callable[[], None]:
    """Listen to the whole process; give what ends that."""
    handler, root, patch = Handler(leaks), logging.getLogger(), pytest.MonkeyPatch()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    _listen_to_exceptions(leaks, patch)
    _listen_to_clients(leaks, patch)

    def uninstall() -> None:
        patch.undo()
        root.setLevel(level)
        root.removeHandler(handler)

    return uninstall


def _listen_to_exceptions(leaks: Leaks, patch: pytest.MonkeyPatch) -> None:
    def init(self: CartesiaError, *args: Any, **fields: Any) -> None:
        super(CartesiaError, self).__init__(*args, **fields)
        leaks.watch(self)

    def at_its_end(self: CartesiaError) -> None:
        leaks.let_go(self)

    patch.setattr(CartesiaError, "__init__", init)
    patch.setattr(CartesiaError, "__del__", at_its_end, raising=False)
    fill = pytest.ExceptionInfo.fill_unfilled

    def fill_and_tell(self: pytest.ExceptionInfo[BaseException], exc_info: Any) -> None:
        """What ``pytest.raises`` caught, of whatever type."""
        fill(self, exc_info)
        leaks.tell_error(self.value)

    patch.setattr(pytest.ExceptionInfo, "fill_unfilled", fill_and_tell)


def _listen_to_clients(leaks: Leaks, patch: pytest.MonkeyPatch) -> None:
    make, upgrade, send = Cartesia.__init__, websocket.WebSocket.connect, requests.Session.send

    @functools.wraps(make)
    def init(self: Cartesia, *args: Any, **options: Any) -> None:
        leaks.keep_secret(options.get("api_key"))
        leaks.keep_secret(options.get("token"))
        make(self, *args, **options)

    @functools.wraps(upgrade)
    def connect(self: websocket.WebSocket, url: str, **options: Any) -> Any:
        leaks.tell(f"dialled {url}")
        return upgrade(self, url, **options)  # type: ignore[no-untyped-call]  # the library's own hints leave it out

    @functools.wraps(send)
    def send_request(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> Any:
        leaks.tell(f"requested {request.url}")
        return send(self, request, **options)

    patch.setattr(Cartesia, "__init__", init)
    patch.setattr(websocket.WebSocket, "connect", connect)
    patch.setattr(requests.Session, "send", send_request)


SUITE = Leaks()
"""Of this process, which is one of several where the tests are spread."""
