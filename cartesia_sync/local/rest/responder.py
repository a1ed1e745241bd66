"""One HTTP request and its answer: the body is read, the answer is sent, and faults are applied on the way."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import uuid
import zlib
from collections.abc import Awaitable, Mapping
from typing import Any, Callable, NamedTuple, NoReturn, Optional, Union

from aiohttp import web
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict

from ..events import error_body
from ..fault_plan import FaultPlan
from ..faults import Moment, Place
from ..observer import Observer
from ..recorder import Recorder, Request, Upload
from ..requests import NEWEST_VERSION, ApiError, invalid_request, parse_json
from ..voice.audio_format import AudioFormat
from ..voice.containers import Container, NoEncoderError

__all__ = ["JSON_BYTES", "UPLOAD_BYTES", "Responder", "Route"]

JSON_BYTES = 1024**2
UPLOAD_BYTES = 100 * 1024**2
_LARGE_BYTES = 32 * 1024  # what takes longer to read than the loop has time for: half a millisecond
_ENCODINGS = {"gzip": (zlib.MAX_WBITS | 16,), "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS)}  # both forms are sent

_MOST_DIGITS = 15
_NESTED = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]")


class Route(NamedTuple):
    """What answers requests of a method and path.

    ``grant`` is the grant that an access token needs; ``None`` means that only an API key is accepted. A body may have
    ``most_bytes``, inflated.
    """

    method: str
    path: str
    answer: Callable[[Responder], Awaitable[web.StreamResponse]]
    grant: Optional[str] = None
    most_bytes: int = JSON_BYTES


class Responder:
    """Answers one HTTP request; a WebSocket handshake is one too.

    Attributes:
        request: What aiohttp has read.
        version: The requested API version; the query has priority over the header.
        request_id: The id in the answer's headers and errors.
        number: The recorder's.
        body: What was sent, in the form of ``Request.body``.
        fault_response: The answer that a fault has chosen, if one did. No other fault applies to it.

    Args:
        request: What aiohttp has read.
        fault_plan: What is to go wrong.
        write_timeout: Seconds after which a peer that reads nothing is dropped; ``None`` for never.

    Threads: the server's loop only.
    """

    def __init__(self, request: web.Request, fault_plan: FaultPlan, write_timeout: Optional[float]) -> None:
        self.request = request
        self.version = (
            request.query.get("cartesia_version") or request.headers.get("Cartesia-Version") or NEWEST_VERSION
        )
        self.request_id = str(uuid.uuid4())
        self.number = 0
        self.body: Any = None
        self.fault_response: Optional[web.Response] = None
        self._fault_plan = fault_plan
        self._write_timeout = write_timeout
        self._stream: Optional[web.StreamResponse] = None
        # What faults do in the body: after how many bytes, and what, in that order.
        self._interruptions: list[tuple[int, Callable[[], Awaitable[Any]]]] = []
        self._sent = 0
        self._observer: Optional[Observer] = None

    async def read(
        self, recorder: Recorder, admit: Callable[[], None], *, most_bytes: int = JSON_BYTES, timeout: Optional[float]
    ) -> None:
        """Read the request to its end, record it, and take the faults that are meant for it.

        Args:
            recorder: Where to record it.
            admit: Looks at the head before anything else is read; raises ``ApiError``.
            most_bytes: How large the body may be, inflated.
            timeout: How many seconds it may take to come; ``None`` for ever.

        Raises:
            ApiError: It is not admitted, in which case its body is recorded as ``None``; or it cannot be read.
        """
        error = None
        try:
            admit()
            self.body = await asyncio.wait_for(_body_of(self.request, most_bytes), timeout)
        except ApiError as exc:
            error = exc
        except asyncio.TimeoutError:
            error = ApiError(408, "Request timeout", f"The body did not come within {timeout:g} seconds.")
        query = {name: self.request.query.getall(name) for name in self.request.query}
        headers = CIMultiDict(self.request.headers)
        request = Request(self.request.method, self.request.path, query, headers, self.body)
        self.number = recorder.add_request(request)
        self._observer = recorder.observer
        if self._observer is not None:
            self._observer.asked(self.number, request.method, request.path, self.body)
        await self._fault_plan.apply(Moment.REQUEST, self)
        # Now and not while the answer is sent, so that each request has its own, however long the answer is.
        await self._fault_plan.apply(Moment.ANSWER, self)
        if error is not None and self.fault_response is None:
            raise error

    # ---- the request

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the URL."""
        return self.request.query

    def path_value(self, name: str = "id") -> str:
        """Return what stands in the path in place of ``{name}``."""
        return self.request.match_info[name]

    @property
    def json(self) -> dict[str, Any]:
        """The body, a JSON object.

        Raises:
            ApiError: It is something else.
        """
        if not isinstance(self.body, dict) or self.request.content_type.startswith("multipart/"):
            raise invalid_request("The body is to be a JSON object.")
        return self.body

    @property
    def form(self) -> dict[str, Any]:
        """The body, a form: text, numbers and ``Upload`` by name; ``a[b]`` is b in a. The last of several counts.

        Raises:
            ApiError: It is something else.
        """
        if not self.request.content_type.startswith("multipart/"):
            raise invalid_request("The body is to be a form (multipart/form-data).")
        form: dict[str, Any] = {}
        for name, values in (self.body or {}).items():
            nested = _NESTED.fullmatch(name)
            if nested is None:
                form[name] = values[-1]
            else:
                value = values[-1]
                is_number = (
                    isinstance(value, str) and value.isdigit() and value.isascii() and len(value) <= _MOST_DIGITS
                )
                inner = form.setdefault(nested.group(1), {})
                if isinstance(inner, dict):
                    inner[nested.group(2)] = int(value) if is_number else value
        return form

    # ---- whole answers

    def reply(self, value: object) -> web.Response:
        """Return an answer of JSON."""
        return web.json_response(value)

    def no_content(self) -> web.Response:
        """Return an answer without a body."""
        return web.Response(status=204)

    def error_response(self, error: ApiError) -> web.Response:
        """Return an error, in the shape of the request's API version."""
        text, content_type = error_body(error, self.version, self.request_id)
        response = web.Response(status=error.status, text=text, content_type=content_type)
        response.headers["X-Request-Id"] = self.request_id
        response.headers.update(error.headers)
        return response

    async def send(self, response: web.StreamResponse) -> web.StreamResponse:
        """Return an answer for aiohttp to send, or send it here if faults are due in it."""
        response.headers.setdefault("X-Request-Id", self.request_id)
        if not self._interruptions or response is self._stream or not isinstance(response, web.Response):
            if self._observer is not None and isinstance(response, web.Response):
                self._observer.answered(
                    self.number,
                    response.status,
                    response.content_type,
                    response.body if isinstance(response.body, bytes) else b"",
                )
                self._observer.ended(self.number, "whole")
            return response
        body = response.body if isinstance(response.body, bytes) else b""
        self._stream = web.StreamResponse(status=response.status, headers=response.headers)
        if response.status != 204:
            self._stream.content_length = len(body)
        await self.write(body)
        return await self.end()

    # ---- answers in pieces

    def begin(self, content_type: str) -> None:
        """Answer by ``write``; nothing is sent before the first bytes."""
        self._stream = web.StreamResponse(headers={"Content-Type": content_type, "X-Request-Id": self.request_id})
        if content_type == "text/event-stream":
            self._stream.headers["Cache-Control"] = "no-cache"

    def begin_audio(self, audio_format: AudioFormat, headers: Optional[Mapping[str, str]] = None) -> Container:
        """Answer by ``write`` with audio, and with more headers; return the container to wrap it in.

        Raises:
            ApiError: 400, the container's encoder is not installed.
        """
        try:
            container = Container(audio_format)
        except NoEncoderError as exc:
            raise ApiError(400, "Unsupported output format", str(exc), error_code="unsupported_audio_format") from exc
        self.begin(container.content_type)
        assert self._stream is not None
        self._stream.headers.update(headers or {})
        return container

    @property
    def has_begun(self) -> bool:
        """Whether the answer's status has been sent."""
        return self._stream is not None and self._stream.prepared

    async def write(self, data: bytes) -> None:
        """Send some of the body. Waits while the socket is full; cancelled when the peer closes."""
        assert self._stream is not None
        while self._interruptions and self._interruptions[0][0] <= self._sent + len(data):
            count, act = self._interruptions.pop(0)
            ahead = max(0, count - self._sent)
            if count > 0:
                await self._put(data[:ahead])
            data = data[ahead:]
            await act()
        await self._put(data)

    async def end(self) -> web.StreamResponse:
        """Send the rest of the answer."""
        assert self._stream is not None
        await self._put(b"")
        await self._stream.write_eof()
        if self._observer is not None:
            self._observer.ended(self.number, "whole")
        return self._stream

    async def _put(self, data: bytes) -> None:
        assert self._stream is not None
        if not self._stream.prepared:
            await self._stream.prepare(self.request)
        if self._observer is not None:
            content_type = self._stream.headers.get("Content-Type", "")
            self._observer.answered(self.number, self._stream.status, content_type, data)
        if not data:
            return
        transport, clock = self.request.transport, None
        if transport is not None and self._write_timeout is not None:
            clock = asyncio.get_running_loop().call_later(self._write_timeout, _reset, transport)
        try:
            await self._stream.write(data)
        finally:
            if clock is not None:
                clock.cancel()
        self._sent += len(data)

    # ---- for whoever looks on

    def refused_socket(self, recorder: Recorder, response: web.Response) -> None:
        """Tell that a WebSocket was refused."""
        if recorder.observer is not None:
            recorder.observer.refused(self.number, self.request.path, self.version, response.status)

    def is_over(self) -> None:
        """Tell that nothing more will be answered, if nobody has told it: the peer has left."""
        if self._observer is not None:
            self._observer.ended(self.number, "left")

    # ---- for faults; see HttpPeer

    @property
    def place(self) -> Place:
        """Which request this is."""
        return Place(self.number, path=self.request.path)

    @property
    def has_ended(self) -> bool:
        """Whether a fault has already chosen the answer."""
        return self.fault_response is not None

    def refuse(
        self,
        status: int,
        body: Union[str, bytes, Mapping[str, object], None],
        headers: Optional[Mapping[str, str]],
    ) -> None:
        """Answer with this, instead of what the request asks for."""
        if body is None:
            self.fault_response = self.error_response(ApiError(status, "Refused", f"Answered with {status}."))
        elif isinstance(body, bytes):
            self.fault_response = web.Response(status=status, body=body)
        elif isinstance(body, str):
            self.fault_response = web.Response(status=status, text=body)
        else:
            self.fault_response = web.json_response(
                dict(body), status=status, headers={"X-Request-Id": self.request_id}
            )
        self.fault_response.headers.update(headers or {})

    def call_after(self, count: int, act: Callable[[], Awaitable[Any]]) -> None:
        """Call ``act`` once so many bytes of the answer's body have been sent; 0 is before its status."""
        self._interruptions.append((count, act))
        self._interruptions.sort(key=lambda interruption: interruption[0])  # stable: equal ones stay in their order

    async def cut(self, *, reset: bool = False) -> NoReturn:
        """End the connection here: by the end of the stream, or by a reset."""
        if self._observer is not None:
            self._observer.ended(self.number, "cut")
        transport = self.request.transport
        if transport is not None and reset:
            _reset(transport)
        elif transport is not None:
            transport.close()
        await asyncio.get_running_loop().create_future()  # aiohttp cancels this task when the connection is lost
        raise AssertionError("that future has no result")


def _reset(transport: asyncio.Transport) -> None:
    # Lingering for no time at all makes the close a reset.
    with contextlib.suppress(OSError):  # the peer may have closed it already
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _body_of(request: web.Request, most_bytes: int) -> Any:
    if not request.body_exists:
        return None
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    is_form = request.content_type.startswith("multipart/")
    if encoding != "identity" and (is_form or encoding not in _ENCODINGS):
        raise ApiError(415, "Unsupported content encoding", "A body may be gzip or deflate; a form may not.")
    try:
        if (request.content_length or 0) > most_bytes:
            raise web.HTTPRequestEntityTooLarge(most_bytes, request.content_length or 0)
        limited = request.clone(client_max_size=most_bytes)
        if is_form:
            return await _form_of(limited)
        data = await limited.read()
        if len(data) < _LARGE_BYTES and encoding == "identity":
            return _parsed(data)
        # Not here: everybody else would wait.
        return await asyncio.get_running_loop().run_in_executor(None, _inflated, data, encoding, most_bytes)
    except web.HTTPRequestEntityTooLarge as exc:
        problem = f"The body is too large: more than {most_bytes} bytes."
        raise ApiError(413, "File too large", problem, error_code="file_too_large") from exc
    except web.RequestPayloadError as exc:
        raise invalid_request("The body is not what its headers say.") from exc


def _inflated(data: bytes, encoding: str, most_bytes: int) -> Any:
    """Return a body that may be compressed, without making more of it than is allowed."""
    for wbits in _ENCODINGS.get(encoding, ()):
        inflator = zlib.decompressobj(wbits)
        with contextlib.suppress(zlib.error):
            inflated = inflator.decompress(data, most_bytes + 1)
            if len(inflated) > most_bytes:
                raise web.HTTPRequestEntityTooLarge(most_bytes, len(inflated))
            if inflator.eof:
                return _parsed(inflated)
    if encoding in _ENCODINGS:
        raise web.RequestPayloadError
    return _parsed(data)


def _parsed(data: bytes) -> Any:
    if not data:
        return None
    try:
        return parse_json(data)
    except (ValueError, RecursionError):
        return data


async def _form_of(request: web.BaseRequest) -> Mapping[str, list[Union[str, bytes, Upload]]]:
    try:
        posted = await request.post()
    except (web.HTTPRequestEntityTooLarge, web.RequestPayloadError):
        raise
    # aiohttp lets through whatever the parts' headers make it stumble over: codecs, encodings, its own assertions.
    except (ValueError, LookupError, RuntimeError, AssertionError, AttributeError, TypeError, zlib.error) as exc:
        raise invalid_request("The form cannot be read.") from exc
    except HttpProcessingError as exc:
        raise invalid_request("The head of a part of the form cannot be read.") from exc
    loop = asyncio.get_running_loop()
    form: dict[str, list[Union[str, bytes, Upload]]] = {}
    for name, value in posted.items():
        if isinstance(value, web.FileField):
            with value.file:
                data = await loop.run_in_executor(None, value.file.read)  # it may be on the disk
            form.setdefault(name, []).append(Upload(value.filename, value.content_type, data))
        else:
            form.setdefault(name, []).append(value if isinstance(value, str) else bytes(value))
    return form
