"""Every exception of the package, and whose fault each one is.

The names that users of the official client already catch are kept; new ones are subclasses of the one that such a user
would catch. Facts are attributes, no exception holds a key or a token, and every exception survives pickling, so that
a worker process can hand it to its parent. What to do about each stands in its docstring, and, with when to try again,
in docs/errors.md.

    CartesiaError
     +-- APIError                                the service, or the way to it
     |    +-- APIConnectionError                 the way to it
     |    |    +-- APITimeoutError               also a TimeoutError
     |    |    |    +-- ConnectTimeoutError      no open connection in time
     |    |    |    +-- WriteTimeoutError        a message could not leave in time
     |    |    |    +-- FirstEventTimeoutError   nothing came for a context in time
     |    |    |    +-- GapTimeoutError          nothing more came for a context in time
     |    |    |    +-- ContextTimeoutError      a context as a whole took too long
     |    |    |    +-- SlotTimeoutError         no slot of the client's limit became free in time
     |    |    +-- WebSocketConnectionClosedError  the connection ended, by whomever and for whatever reason
     |    |    |    +-- TruncatedError           ... before all of this context had come
     |    |    +-- IncompleteAnswerError         an HTTP answer broke off
     |    |    +-- ProtocolError                 the service sent what the protocol does not allow
     |    |    |    +-- MessageTooBigError       ... or more at once than we are willing to hold
     |    |    |    +-- MalformedEventError      ... a message that is no event
     |    |    +-- ForkedError                   the connection belongs to the parent process
     |    |    +-- ProxySettingError             the environment names a proxy that cannot be used
     |    +-- UnfinishedError                    the service said done before a context's text was at its end
     |    +-- APIResponseValidationError         an answer that cannot be read
     |    +-- APIStatusError                     the service refused
     |         +-- BadRequestError 400, AuthenticationError 401, PermissionDeniedError 403, NotFoundError 404,
     |             ConflictError 409, UnprocessableEntityError 422, RateLimitError 429, InternalServerError 5xx
     +-- MailboxFullError                        a context was not read, and its limit is reached
     +-- ContextStateError                       also a ValueError: the method does not fit the context's state
     +-- MicrophoneError                         the device that audio comes from
     +-- WebSocketQueueFullError                 also a ValueError: too many commands wait for a session to open
     +-- ConcurrencyError                        also a RuntimeError: a second thread in one context's receive()
     +-- SlotDeadlockError                       also a RuntimeError: a thread waits for its own contexts' slots
     +-- LimitError                              a limit cannot say whether there is a free slot
     |    +-- LimitUnreachableError              ... since the server that counts them does not answer
     +-- BatchStoppedError                       a batch cannot go on; what it has done is kept
     +-- MissingCredentialsError                 also a ValueError: neither a key nor a token is given
     +-- PlaybackError                           the device that speech is played on
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Optional

from .exchange import Headers, HTTPRequest, HTTPResponse


class CartesiaError(Exception):
    """The base of every exception that this package raises itself.

    Catch it where any failure is handled in the same way.
    """


class APIError(CartesiaError):
    """Something went wrong with the service or on the way to it.

    See the subclass for whose fault it is.

    Attributes:
        message: What went wrong, in a sentence.
        body: What the service said: its decoded error object, the text it sent instead, or None.
        request: The request over HTTP, or the opening of a WebSocket, that failed: its ``method``, and its ``url``
            without credentials. Both are empty where there was none, as for the errors of a context.
    """

    def __init__(self, message: str = "", *, body: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.body = body
        self.request = HTTPRequest()


@contextlib.contextmanager
def requested(request: HTTPRequest) -> Iterator[None]:
    """Let each ``APIError`` that leaves the block know its request, unless it knows one."""
    try:
        yield
    except APIError as error:
        if not error.request.method:
            error.request = request
        raise


# ---- the way to the service


class APIConnectionError(APIError):
    """The service could not be reached, or the connection to it is of no more use.

    The fault of the network, of a proxy, or of a service that is not there: check the address, the proxy and the
    certificates. The client has tried again, where trying again may help.
    """


class APITimeoutError(APIConnectionError, TimeoutError):
    """One of the user's timeouts ran out.

    Raise the one in ``Timeout`` if the work needs longer.

    Attributes:
        timeout: The seconds that were allowed.
    """

    def __init__(self, message: str = "Request timed out.", *, timeout: Optional[float] = None) -> None:
        super().__init__(message)
        self.timeout = timeout


class ConnectTimeoutError(APITimeoutError):
    """No open connection in time: name resolution, TCP, TLS and the upgrade share one timeout.

    Check the network, or raise ``Timeout(connect=...)``.
    """


class WriteTimeoutError(APITimeoutError):
    """The service did not take a message in time; the connection is closed, since half of the message may be out.

    The service did not read for ``Timeout.write`` seconds. Say the text again in a new context.
    """


class ContextFacts:
    """What a context had sent and received when it ended before its end.

    Attributes:
        context_id: The context.
        audio_bytes: Bytes of audio received for it.
        audio_seconds: The same in seconds.
        heard: Whether any event of it had arrived.
        transcripts: The pieces of text that were sent, in order.
        transcript: Of a session that listens: what was heard until then.
    """

    context_id: str = ""
    audio_bytes: int = 0
    audio_seconds: float = 0.0
    heard: bool = False
    transcripts: tuple[str, ...] = ()
    transcript: str = ""

    def remember(
        self,
        *,
        context_id: str,
        audio_bytes: int,
        audio_seconds: float,
        heard: bool,
        transcripts: tuple[str, ...],
    ) -> None:
        """Set the facts."""
        self.context_id = context_id
        self.audio_bytes = audio_bytes
        self.audio_seconds = audio_seconds
        self.heard = heard
        self.transcripts = transcripts


class FirstEventTimeoutError(ContextFacts, APITimeoutError):
    """Nothing came for the context in time, counted from its first push.

    The service was slow; raise ``first_event_timeout`` if texts are long.
    """


class GapTimeoutError(ContextFacts, APITimeoutError):
    """Nothing more came for the context in time, counted from its last event or push.

    The service fell silent, or the user pushed nothing for long: push in time, or raise ``timeout``.
    """


class ContextTimeoutError(ContextFacts, APITimeoutError):
    """The context as a whole took longer than allowed, counted from its first push.

    Raise ``whole_timeout`` if texts are long.
    """


class SlotTimeoutError(APITimeoutError):
    """No slot of the client's ``limit`` or ``stt_limit`` became free in time; nothing was sent.

    The user's program begins more than the limit allows, for longer than ``limit_wait``: raise that, or begin fewer.
    """


class WebSocketConnectionClosedError(APIConnectionError):
    """The connection has ended.

    By ``close()`` here, by the service, or by the network with ``reconnect=False``: open another connection.

    Attributes:
        code: The close code that the service sent (RFC 6455), or None where it sent none: a reset, the end of the
            stream, our own ``close()``.
        reason: The reason that came with it, or "".
        unsent_messages: Always empty: a message either left or raised. Kept for the official client's users.
    """

    def __init__(
        self, message: str = "The connection is closed.", *, code: Optional[int] = None, reason: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.unsent_messages: list[str] = []


class TruncatedError(ContextFacts, WebSocketConnectionClosedError):
    """The connection ended before this context did: what was received of it is not the whole.

    The fault of the network or the service. Say the text again in a new context, or make contexts with
    ``on_disconnect="replay"``.
    """


class UnfinishedError(ContextFacts, APIError):
    """The service said that the context is done before its text was at its end: what was received is not the whole.

    This happens where the context expired before ``no_more_inputs()``, where the service's ``done`` crossed our last
    text, and where no audio came for a text with words. Often it is the user's program that did not use
    ``no_more_inputs()`` in time. Say what is in ``unspoken`` again in a new context.

    Attributes:
        unspoken: The pieces of text that were sent after the last audio had been received, in order.
    """

    def __init__(self, message: str = "", *, unspoken: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.unspoken = unspoken


class IncompleteAnswerError(APIConnectionError):
    """An HTTP answer broke off: what was received of it is not the whole.

    The fault of the network or the service, or somebody closed it here: throw away what was received, and try again.

    Attributes:
        received_bytes: How much of it had arrived.
    """

    def __init__(self, message: str = "", *, received_bytes: int = 0) -> None:
        super().__init__(message)
        self.received_bytes = received_bytes


class ProtocolError(APIConnectionError):
    """The service sent what the protocol does not allow.

    The fault of the service, or of a proxy between. Try again once, and report it.

    Attributes:
        close_code: The close code (RFC 6455, 7.4.1) with which a WebSocket connection ends for this reason: 1002 for
            a violation of the protocol, 1003 for a binary message, 1007 for text that is not UTF-8, 1009 for a message
            that is too big. None where it ends no connection.
    """

    def __init__(self, message: str = "", *, close_code: Optional[int] = None) -> None:
        super().__init__(message)
        self.close_code = close_code


class MessageTooBigError(ProtocolError):
    """The service announced a message that is larger than the limit; it was not read.

    Raise the limit if you trust the service.

    Attributes:
        limit_bytes: The limit, ``max_message_bytes``.
    """

    def __init__(self, message: str = "", *, limit_bytes: int = 0, close_code: Optional[int] = None) -> None:
        super().__init__(message, close_code=close_code)
        self.limit_bytes = limit_bytes


class MalformedEventError(ProtocolError):
    """The service sent a message that is no event.

    The fault of the service. Try again once, and report it.

    Attributes:
        context_id: The context that it names, as far as that can be read; None otherwise.
        close_code: None where it names a context, since only that one is at fault. Otherwise nobody can tell whose
            event it was, and the connection ends: 1007 where it is not UTF-8, 1002 where it is anything else.
    """

    def __init__(
        self, message: str = "", *, context_id: Optional[str] = None, close_code: Optional[int] = None
    ) -> None:
        super().__init__(message, close_code=close_code)
        self.context_id = context_id


class ForkedError(APIConnectionError):
    """The connection was opened before a fork and belongs to the parent process.

    The fault of the user's program: open a connection in the child.
    """


class ProxySettingError(APIConnectionError):
    """The environment names a proxy that cannot be used, and nobody was asked; the message names the variable.

    The fault of that setting: its scheme is not known, or its URL is none; or SOCKS over HTTP needs the extra
    ``cartesia-sync[socks]``.
    """


# ---- what the service refused


class APIResponseValidationError(APIError):
    """The service answered with something that cannot be read.

    The fault of the service, or of something between that answers in its place: check ``base_url`` and the proxies, and
    report it.

    Attributes:
        status_code: The HTTP status of the answer.
    """

    def __init__(self, message: str = "", *, status_code: int = 0, body: object = None) -> None:
        super().__init__(message, body=body)
        self.status_code = status_code

    @property
    def response(self) -> HTTPResponse:
        """The answer, as far as it was kept: not its headers."""
        return HTTPResponse(self.status_code, Headers(), _text_of(self.body), self.request)


class APIStatusError(APIError):
    """The service refused, over HTTP, at the handshake or by an error event.

    The subclass of the status says whose fault it is; a status without a class of its own, such as 402 where there are
    no credits, raises this one. Read ``message``, ``error_code`` and ``doc_url``.

    Attributes:
        status_code: The HTTP status.
        error_code: The service's machine-readable code, such as ``voice_not_found``, or None.
        title: The service's short description, or None.
        request_id: The service's identifier of the request, or None.
        doc_url: Where the service documents the error, or None.
        headers: The response's headers, found under any spelling of their names; empty for an error event.
        text: The answer's body, 64 KiB of it at most, without the key.
    """

    _status: ClassVar[int] = 0  # of the class; Celery's JSON backend makes an exception anew of its message alone

    def __init__(
        self,
        message: str = "",
        *,
        status_code: Optional[int] = None,
        body: object = None,
        error_code: Optional[str] = None,
        title: Optional[str] = None,
        request_id: Optional[str] = None,
        doc_url: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        text: Optional[str] = None,
    ) -> None:
        super().__init__(message, body=body)
        self.text = _text_of(body) if text is None else text
        self.status_code = self._status if status_code is None else status_code
        self.error_code = error_code
        self.title = title
        self.request_id = request_id
        self.doc_url = doc_url
        self.headers = Headers(headers or {})

    @property
    def response(self) -> HTTPResponse:
        """The answer: ``status_code``, ``headers``, ``text`` and ``json()``."""
        return HTTPResponse(self.status_code, self.headers, self.text, self.request)

    @property
    def retry_after(self) -> Optional[float]:
        """Seconds the service asked us to wait; None where it did not say.

        From its ``Retry-After-Ms`` or ``Retry-After`` header; the latter may be a date, which counts from now.
        """
        for name, seconds_each in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
            try:
                seconds = float(self.headers[name]) * seconds_each
            except (KeyError, ValueError):
                continue
            return seconds if 0 <= seconds < math.inf else None
        return _seconds_until(self.headers.get("retry-after", ""))


def _text_of(body: object) -> str:
    """Return what an answer's body was: its text, or JSON of the same content."""
    if body is None or isinstance(body, str):
        return body or ""
    return json.dumps(body, ensure_ascii=False, default=str)


def _seconds_until(date: str) -> Optional[float]:
    """Count from now to a date as HTTP writes it; None where it is none, or past."""
    from email.utils import mktime_tz, parsedate_tz  # seldom needed, and slow to load

    try:
        parsed = parsedate_tz(date)
        seconds = mktime_tz(parsed) - time.time() if parsed else -1.0
    except (ValueError, TypeError, OverflowError):  # a year, a month or an hour that there is not
        return None
    return seconds if seconds >= 0 else None


class BadRequestError(APIStatusError):
    """400: the request is not one the service understands.

    The fault of the request: correct it. A first text without a letter is refused too.
    """

    _status = 400


class AuthenticationError(APIStatusError):
    """401: the key or token is missing, unknown or no longer valid.

    The user's fault: check ``CARTESIA_API_KEY``, or make a new token.
    """

    _status = 401


class PermissionDeniedError(APIStatusError):
    """403: the key or the plan does not allow this.

    Ask for the right, or use another key.
    """

    _status = 403


class NotFoundError(APIStatusError):
    """404: there is no such thing; since API version 2026-03-01 also an unknown voice.

    The fault of the request: correct the id.
    """

    _status = 404


class ConflictError(APIStatusError):
    """409: the request conflicts with another one.

    Another request is in the way: wait, and try again. Over HTTP the client has done so.
    """

    _status = 409


class UnprocessableEntityError(APIStatusError):
    """422: the request is well-formed, but its content is not acceptable.

    The fault of the request: correct its content.
    """

    _status = 422


class RateLimitError(ContextFacts, APIStatusError):
    """429: more contexts or connections at once than the plan allows.

    The user's fault: begin fewer at once, or let the client wait: ``Cartesia(limit=)`` raises this no more. Try again
    after ``retry_after`` seconds where the service says it. The client has tried again while connecting and over HTTP.
    Of a context it has the context's facts.
    """

    _status = 429

    @property
    def exceeded(self) -> Optional[Literal["contexts", "connections"]]:
        """Which limit it was: of contexts and generations at once, or of WebSocket connections, ten times as many.

        None for another reason, which ``error_code`` says (docs page ``concurrency-limits-and-timeouts``).
        """
        if self.request.url.startswith(("ws://", "wss://")):
            return "connections"
        return "contexts" if self.error_code in (None, "concurrency_limited") else None


class InternalServerError(APIStatusError):
    """5xx: the service failed.

    The fault of the service: wait, try again, and give ``request_id`` to the service's support. The client has tried
    again while connecting and over HTTP.
    """

    _status = 500


_BY_STATUS: dict[int, type[APIStatusError]] = {
    kind._status: kind
    for kind in (
        BadRequestError,
        AuthenticationError,
        PermissionDeniedError,
        NotFoundError,
        ConflictError,
        UnprocessableEntityError,
        RateLimitError,
    )
}


def status_error(status_code: int, message: str, **facts: Any) -> APIStatusError:
    """Make the exception that belongs to an HTTP status.

    Args:
        status_code: The status; those without a class of their own give ``APIStatusError`` itself.
        message: What went wrong.
        **facts: The other attributes of ``APIStatusError``.
    """
    kind = InternalServerError if status_code >= 500 else _BY_STATUS.get(status_code, APIStatusError)
    return kind(message, status_code=status_code, **facts)


# ---- the user's program


class MailboxFullError(ContextFacts, CartesiaError):
    """Nobody read the context's events, and they reached the limit; this context alone has ended.

    The fault of the user's program: read faster, cancel contexts that nobody wants, or raise the limit.

    Attributes:
        limit_bytes: The limit, ``max_queued_bytes``.
    """

    def __init__(self, message: str = "", *, limit_bytes: int = 0) -> None:
        super().__init__(message)
        self.limit_bytes = limit_bytes


class MicrophoneError(CartesiaError):
    """The microphone cannot be opened, or has gone; of a session that it feeds this is the end."""


class WebSocketQueueFullError(CartesiaError, ValueError):
    """More commands wait for a session of speech to text to open than ``max_queue_size`` allows.

    The fault of the calling code: open the session first, or raise the limit.
    """


class ContextStateError(CartesiaError, ValueError):
    """The method does not fit the state that the context is in, such as a push after ``no_more_inputs()``.

    The fault of the user's program: use a new context.
    """


class ConcurrencyError(CartesiaError, RuntimeError):
    """Another thread is receiving from this context; different contexts may be received from at once.

    The fault of the user's program: let one thread receive from a context. A signal handler that does more than
    ``cancel()`` and ``close()`` gets this too.
    """


class PlaybackError(CartesiaError):
    """The device that speech is played on cannot be opened, has gone, or asks for no more audio.

    What was heard until then is in ``heard`` of each speech; its context is cancelled. Another ``play()`` opens the
    device anew.
    """


class SlotDeadlockError(CartesiaError, RuntimeError):
    """A thread waits for a slot of the limit, and its own open contexts hold all of them.

    The fault of the user's program: finish one context with ``no_more_inputs()`` before you begin the next, push to
    them from several threads, or raise the limit.

    Attributes:
        slots: How many slots there are.
    """

    def __init__(self, message: str = "", *, slots: int = 0) -> None:
        super().__init__(message)
        self.slots = slots


class LimitError(CartesiaError):
    """A limit cannot say whether there is a free slot.

    The fault of what it is built on: its files were taken away, another process uses the same name with another number,
    or an ``acquire()`` of the user's own raised. The message says which, and what to do.
    """


class LimitUnreachableError(LimitError):
    """The server that counts the slots does not answer, and the limit was told to refuse then.

    Check the server and its address, or make the limit with ``on_unreachable="local"``.
    """


class BatchStoppedError(CartesiaError):
    """A batch cannot go on; what it has done is kept, and the next run goes on from there.

    The message says why: another process is at work on the folder, the disk is full or the folder gone, the service
    takes no more (no credits, no valid key), or the executor is broken. What it came from is its ``__cause__``.

    Attributes:
        report: What had been done by then, a ``cartesia_sync.batch.Report``; None where nothing had begun.
    """

    report: Any = None


class MissingCredentialsError(CartesiaError, ValueError):
    """Neither a key nor a token was given, and the environment has none.

    The fault of the user's program: set ``CARTESIA_API_KEY``, or pass ``api_key=``.
    """
