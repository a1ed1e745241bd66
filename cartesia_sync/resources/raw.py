"""``with_raw_response`` and ``with_streaming_response``: a resource's methods, which return the answers themselves.

A resource's class has one beside it for each of the two, which names its methods once more: so type checkers know the
arguments, and what ``parse()`` returns. What such a method does is the resource's own, with other ``Answers``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Generic, Optional, TypeVar, cast

from .answer import APIResponse, ResponseContextManager
from .base import EVENTS, JSON, Answers, Resource, value_of
from .binary import BinaryAPIResponse
from .events import Stream
from .pages import SyncCursorIDPage

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    from ..transport.http.response import Response
    from .base import RequestOptions

    _P = ParamSpec("_P")

_R = TypeVar("_R")
_F = TypeVar("_F")


class RawAnswers(Answers):
    """Answers whose body has been read, but for events."""

    def _answer(
        self, method: str, path: str, options: RequestOptions, **request: Any
    ) -> tuple[Response, Optional[bytes]]:
        return self._requester.send(method, path, options, **request)

    def fetch(
        self, method: str, path: str, kind: Any, options: RequestOptions, *, accept: str = JSON, **request: Any
    ) -> APIResponse[Any]:
        """Return an answer that can be made into something."""
        response, content = self._answer(method, path, options, accept=accept, **request)

        def parse(answer: APIResponse[Any], to: Any) -> Any:
            wanted = kind if to is None else to
            return value_of(wanted, answer._whole(), response)

        return APIResponse(response, parse, content)

    def page(
        self, path: str, kind: Any, query: Mapping[str, object], options: RequestOptions
    ) -> APIResponse[SyncCursorIDPage[Any]]:
        """Return an answer that can be made into a page."""
        response, content = self._answer("GET", path, options, accept=JSON, query=query)

        def parse(answer: APIResponse[Any], to: Any) -> Any:
            if to is not None:
                return value_of(to, answer._whole(), response)
            first = value_of(dict, answer._whole(), response)
            return SyncCursorIDPage.answered(first, self._asking(path, options), kind, query)

        return APIResponse(response, parse, content)

    def audio(self, *arguments: Any, **request: Any) -> BinaryAPIResponse:
        """Return bytes that have been read."""
        answer = super().audio(*arguments, **request)
        answer.read()
        return answer

    def events(
        self, path: str, options: RequestOptions, event_of: Callable[[bytes], Any], **request: Any
    ) -> APIResponse[Stream[Any]]:
        """Return an answer that can be made into events."""
        response = self._requester.open("POST", path, options, accept=EVENTS, **request)

        def parse(answer: APIResponse[Any], to: Any) -> Any:
            if to is not None:
                raise TypeError(f"parse: events are given as they are, or by iter_lines(); got to={to!r}")
            answer._begin()
            return Stream(response, event_of)

        return APIResponse(response, parse)


class UnreadAnswers(RawAnswers):
    """Answers whose body is read as it arrives."""

    def _answer(
        self, method: str, path: str, options: RequestOptions, **request: Any
    ) -> tuple[Response, Optional[bytes]]:
        return self._requester.open(method, path, options, **request), None

    def audio(self, *arguments: Any, **request: Any) -> BinaryAPIResponse:
        """Return bytes that are read as they arrive."""
        return Answers.audio(self, *arguments, **request)


class WithRawResponse:
    """A resource whose methods return the answer itself, an ``APIResponse``."""

    def __init__(self, resource: Resource) -> None:
        self._resource = type(resource)(resource._client, RawAnswers)


class WithStreamingResponse:
    """A resource whose methods give the answer itself in a ``with`` block, which reads it as it arrives."""

    def __init__(self, resource: Resource) -> None:
        self._resource = type(resource)(resource._client, UnreadAnswers)


class Answered(Generic[_F]):
    """A method of a resource that returns another thing; an attribute of the classes above.

    Args:
        method: The resource's.
        changed: Makes what the user calls of the method bound to the resource with other answers.
    """

    def __init__(self, method: Any, changed: Callable[[Any], Any]) -> None:
        self.method = method
        self._changed = changed
        self.__doc__ = method.__doc__

    def __get__(self, instance: Any, owner: object) -> _F:
        # Of the class it is the resource's own, for help() and the like.
        found = self.method if instance is None else self._changed(self.method.__get__(instance._resource))
        return cast(_F, found)


def raw(method: Callable[Concatenate[Any, _P], _R]) -> Answered[Callable[_P, APIResponse[_R]]]:
    """Let a method return the answer."""
    return Answered(method, _as_it_is)


def raw_audio(method: Callable[Concatenate[Any, _P], BinaryAPIResponse]) -> Answered[Callable[_P, BinaryAPIResponse]]:
    """Name a method that returns the answer anyway."""
    return Answered(method, _as_it_is)


def streamed(
    method: Callable[Concatenate[Any, _P], _R],
) -> Answered[Callable[_P, ResponseContextManager[APIResponse[_R]]]]:
    """Let a method give the answer in a ``with`` block."""
    return Answered(method, _in_a_block)


def streamed_audio(
    method: Callable[Concatenate[Any, _P], BinaryAPIResponse],
) -> Answered[Callable[_P, ResponseContextManager[BinaryAPIResponse]]]:
    """Let a method that returns the answer anyway give it in a ``with`` block."""
    return Answered(method, _in_a_block)


def _as_it_is(bound: Any) -> Any:
    return bound


def _in_a_block(bound: Any) -> Any:
    @functools.wraps(bound)
    def prepared(*arguments: Any, **named: Any) -> ResponseContextManager[Any]:
        return ResponseContextManager(functools.partial(bound, *arguments, **named))

    return prepared
