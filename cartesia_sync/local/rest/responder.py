"""One HTTP request and its answer: the body is read, the answer sent, and the faults strike on its way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
import uuid
from collections.abc import Awaitable, Mapping
from typing import Any, Callable, NamedTuple, NoReturn, Optional, Union

from aiohttp import web
from multidict import CIMultiDict

from .. import events, faults, requests
from ..recorder import Ledger, Request, Upload, look_until
from ..requests import ApiError

__all__ = ["Responder", "Route", "version_of"]

_NESTED = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]")


class Route(NamedTuple):
    """Who answers requests of a method and path.

    ``grant`` is what an access token must open to be let in; with ``None`` only an API key will do.
    """

    method: str
    path: str
    answer: Callable[[Responder], Awaitable[web.StreamResponse]]
    grant: Optional[str] = None


class Responder:
    """A request that has been read, and what there is to answer it with.

    Attributes:
        request: What aiohttp has read.
        version: The API version that is asked for.
        request_id: The id that stands in the answer's headers and errors.
        number: The ledger's.
        body: What was sent, as ``Request.body``.
        refuse: The fault that wants it refused, if there is one. Its answer is struck by no other fault.

    Threads: the server's loop only.
    """

    def __init__(self, request: web.Request, ledger: Ledger) -> None:
        self.request = request
        self.version = version_of(request)
        self.request_id = str(uuid.uuid4())
        self.number = 0
        self.body: Any = None
        self.refuse: Optional[faults.RefuseRequest] = None
        self._ledger = ledger
        self._stream: Optional[web.StreamResponse] = None
        self._faults: list[Union[faults.CutAnswer, faults.StallAnswer]] = []
        self._sent = 0

    async def read(self) -> None:
        """Read the request to its end, and write it down.

        Raises:
            RefusedError: It cannot be read.
        """
        problem = None
        try:
            self.body = await _body_of(self.request)
        except ApiError as exc:
            problem = exc
        query = {name: self.request.query.getall(name) for name in self.request.query}
        headers = CIMultiDict(self.request.headers)
        path = self.request.path
        noted = Request(self.request.method, path, query, headers, self.body)
        self.number = self._ledger.note_request(noted)
        self.refuse = self._ledger.strike_request(faults.RefuseRequest, self.number, path)
        if self.refuse is None:
            cut = self._ledger.strike_request(faults.CutAnswer, self.number, path)
            stall = self._ledger.strike_request(faults.StallAnswer, self.number, path)
            self._faults = sorted((fault for fault in (stall, cut) if fault is not None), key=lambda fault: fault.after)
        if problem is not None:
            raise problem

    # ---- what was asked

    @property
    def json(self) -> dict[str, Any]:
        """The body, a JSON object.

        Raises:
            RefusedError: It is none.
        """
        if not isinstance(self.body, dict) or self.request.content_type.startswith("multipart/"):
            raise ApiError(400, "Invalid request", "The body is to be a JSON object.")
        return self.body

    @property
    def form(self) -> dict[str, Any]:
        """The body, a form: text, numbers and ``Upload`` by their names; ``a[b]`` is b in a. The last of many counts.

        Raises:
            RefusedError: It is none.
        """
        if not self.request.content_type.startswith("multipart/"):
            raise ApiError(400, "Invalid request", "The body is to be a form (multipart/form-data).")
        form: dict[str, Any] = {}
        for name, values in self.body.items():
            nested = _NESTED.fullmatch(name)
            if nested is None:
                form[name] = values[-1]
            else:
                value = values[-1]
                is_number = isinstance(value, str) and value.isdigit() and value.isascii()
                inner = form.setdefault(nested.group(1), {})
                if isinstance(inner, dict):
                    inner[nested.group(2)] = int(value) if is_number else value
        return form

    # ---- answers

    def reply(self, value: object, status: int = 200) -> web.Response:
        """An answer of JSON."""
        return web.json_response(value, status=status)

    def no_content(self) -> web.Response:
        """An answer that says no more than that it is done."""
        return web.Response(status=204)

    def refusal(self, refused: ApiError) -> web.Response:
        """An error, in the shape of the request's API version."""
        return refusal(refused, self.version, self.request_id)

    def begin(self, content_type: str) -> None:
        """Choose to answer by ``write``; nothing is sent before the first bytes."""
        self._stream = web.StreamResponse(headers={"Content-Type": content_type, "X-Request-Id": self.request_id})
        if content_type == "text/event-stream":
            self._stream.headers["Cache-Control"] = "no-cache"

    @property
    def has_begun(self) -> bool:
        """Whether the answer's status has been sent."""
        return self._stream is not None and self._stream.prepared

    async def write(self, data: bytes) -> None:
        """Send a piece of the body. Waits while the socket is full; a peer that goes cancels it."""
        assert self._stream is not None
        while self._faults and self._faults[0].after <= self._sent + len(data):
            fault = self._faults.pop(0)
            ahead = max(0, fault.after - self._sent)
            if fault.after > 0:
                await self._put(data[:ahead])
            data = data[ahead:]
            await self._suffer(fault)
        await self._put(data)

    async def end(self) -> web.StreamResponse:
        """Send what is left to be sent of the answer."""
        assert self._stream is not None
        await self._put(b"")
        await self._stream.write_eof()
        return self._stream

    async def cut(self, *, reset: bool = False) -> NoReturn:
        """End the connection here: by the end of the stream, or by a reset."""
        transport = self.request.transport
        if transport is not None and reset:
            # Lingering for no time at all makes the close a reset.
            with contextlib.suppress(OSError):  # the peer may have closed it already
                raw = transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        elif transport is not None:
            transport.close()
        await asyncio.get_running_loop().create_future()  # aiohttp cancels this task when the connection is lost
        raise AssertionError("nobody sets that future")

    async def send(self, response: web.StreamResponse) -> web.StreamResponse:
        """Hand over a whole answer, with the faults that are due in it."""
        response.headers.setdefault("X-Request-Id", self.request_id)
        if not self._faults or response is self._stream or not isinstance(response, web.Response):
            return response
        body = response.body if isinstance(response.body, bytes) else b""
        self._stream = web.StreamResponse(status=response.status, headers=response.headers)
        if response.status != 204:
            self._stream.content_length = len(body)
        await self.write(body)
        return await self.end()

    async def _put(self, data: bytes) -> None:
        assert self._stream is not None
        if not self._stream.prepared:
            await self._stream.prepare(self.request)
        if data:
            await self._stream.write(data)
            self._sent += len(data)

    async def _suffer(self, fault: Union[faults.CutAnswer, faults.StallAnswer]) -> None:
        if isinstance(fault, faults.CutAnswer):
            await self.cut(reset=fault.reset)
        else:
            await look_until(fault.until.is_set)


def version_of(request: web.BaseRequest) -> str:
    """The API version of a request; the query wins."""
    return request.query.get("cartesia_version") or request.headers.get("Cartesia-Version") or requests.NEWEST_VERSION


def refusal(refused: ApiError, version: str, request_id: str) -> web.Response:
    """An error, in the shape of the API version."""
    text, content_type = events.error_body(refused, version, request_id)
    response = web.Response(status=refused.status, text=text, content_type=content_type)
    response.headers["X-Request-Id"] = request_id
    response.headers.update(refused.headers)
    return response


def told_response(fault: Union[faults.Refuse, faults.RefuseRequest], version: str, request_id: str) -> web.Response:
    """The answer that a fault asks for."""
    if fault.body is None:
        answer = refusal(ApiError(fault.status, "Refused", f"Answered with {fault.status}."), version, request_id)
    elif isinstance(fault.body, bytes):
        answer = web.Response(status=fault.status, body=fault.body)
    elif isinstance(fault.body, str):
        answer = web.Response(status=fault.status, text=fault.body)
    else:
        answer = web.json_response(dict(fault.body), status=fault.status, headers={"X-Request-Id": request_id})
    answer.headers.update(fault.headers or {})
    return answer


async def _body_of(request: web.Request) -> Any:
    if not request.body_exists:
        return None
    try:
        if request.content_type.startswith("multipart/"):
            return await _form_of(request)
        data = await request.read()
    except web.HTTPRequestEntityTooLarge as exc:
        raise ApiError(413, "File too large", "The body is too large.", error_code="file_too_large") from exc
    except web.RequestPayloadError as exc:
        raise ApiError(400, "Invalid request", "The body is not what its headers say.") from exc
    if not data:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data


async def _form_of(request: web.Request) -> Mapping[str, list[Union[str, bytes, Upload]]]:
    try:
        posted = await request.post()
    except ValueError as exc:
        raise ApiError(400, "Invalid request", "The form cannot be read.") from exc
    form: dict[str, list[Union[str, bytes, Upload]]] = {}
    for name, value in posted.items():
        if isinstance(value, web.FileField):
            with value.file:
                form.setdefault(name, []).append(Upload(value.filename, value.content_type, value.file.read()))
        else:
            form.setdefault(name, []).append(value if isinstance(value, str) else bytes(value))
    return form
