"""The page, and what it asks for. For this machine alone, and for who has the token."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar, Optional
from urllib.parse import urlsplit

from aiohttp import web

from ..admission import is_loopback
from ..fault_plan import FaultPlan
from ..fault_text import FAULT_NAMES, fault_of
from . import exports
from .history import Entry, History
from .sounds import wav
from .watcher import Watcher

__all__ = ["Inspector"]

_PAGE = Path(__file__).parent / "page"
_FILES = {"icon.svg": "image/svg+xml", "script.js": "text/javascript", "style.css": "text/css"}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self' blob:;"
        " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_AT_ONCE = 500  # entries
_KEEPALIVE = 15.0  # seconds
_MOST_MIRRORED_BYTES = 16 * 1024**2
_MOST_MIRRORS = 100
_SUFFIXES = {"audio/mpeg": "mp3", "audio/mp3": "mp3"}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Inspector(Watcher):
    """Looks on, and shows what it sees at ``/inspector``.

    Args:
        token: Who has it may look. It stands in the URL that the user is given; then in a cookie.
        most_bytes: What the history may take, audio included.
        fault_plan: Where faults of the page go.
        slots: Gives how many slots are taken, and of how many.

    Threads: the server's loop only.
    """

    def __init__(
        self,
        token: str,
        most_bytes: int,
        fault_plan: FaultPlan,
        slots: Callable[[], tuple[int, Optional[int]]],
    ) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._now: Callable[[], float] = lambda: loop.time() - began
        self._entries = History(most_bytes)
        super().__init__(self._entries, "server", self._now, slots)
        self._token = token
        self._cookie = f"cartesia-inspector-{secrets.token_hex(4)}"  # cookies know no ports
        self._fault_plan = fault_plan
        self._mirrors: dict[str, _Mirror] = {}
        self._is_closed = False

    def close(self) -> None:
        """End the streams of all pages that are open."""
        self._is_closed = True
        self._entries.wake()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the page, and what it asks for."""
        router.add_get("/inspector", self._guarded(self._page), allow_head=False)
        router.add_get("/inspector/", self._guarded(self._page), allow_head=False)
        router.add_get("/inspector/events", self._guarded(self._events), allow_head=False)
        router.add_get("/inspector/audio", self._guarded(self._audio), allow_head=False)
        router.add_get("/inspector/row", self._guarded(self._one_row), allow_head=False)
        router.add_get("/inspector/python", self._guarded(self._python), allow_head=False)
        router.add_get("/inspector/tape", self._guarded(self._tape), allow_head=False)
        router.add_post("/inspector/fault", self._guarded(self._inject))
        router.add_post("/inspector/clear-faults", self._guarded(self._clear_faults))
        router.add_post("/inspector/clear", self._guarded(self._clear))
        router.add_post("/inspector/mirror", self._guarded(self._mirror))
        for name in _FILES:
            router.add_get(f"/inspector/{name}", self._guarded(self._file), allow_head=False)

    # ---- who may look

    def _guarded(self, handler: _Handler) -> _Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            refusal = self._refusal(request)
            if refusal is not None:
                return web.Response(status=403, text=refusal, headers=_HEADERS)
            return await handler(request)

        return answer

    def _refusal(self, request: web.Request) -> Optional[str]:
        """Return why a request is refused; None where it is not.

        Whatever ``allow_origins`` says: no page of elsewhere, and no machine but this one.
        """
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        if not peer or not is_loopback(str(peer[0])):
            return "The inspector is for this machine alone."
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not is_loopback(_host_of(f"//{host}")):
            return f"Host {host[:100]!r} is not this machine."
        if origin is not None and origin.partition("://")[2] != host:
            return "A page of elsewhere has asked."
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not (
            request.path.rstrip("/") == "/inspector" and request.headers.get("Sec-Fetch-Mode") == "navigate"
        ):
            return "A page of elsewhere has asked."
        given = request.query.get("t") or request.cookies.get(self._cookie, "")
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode()):
            return "Open the address with ?t=... that cartesia-sync serve has printed (LocalServer.inspector_url)."
        return None

    # ---- the page

    async def _page(self, request: web.Request) -> web.StreamResponse:
        html = (_PAGE / "index.html").read_text("utf-8").replace("<!-- faults -->", _options())
        response = web.Response(text=html, content_type="text/html", headers=_HEADERS)
        # No redirect to an address without the token: from a link elsewhere the cookie would not come along.
        response.set_cookie(
            self._cookie, self._token, path="/inspector", httponly=True, samesite="Strict", secure=request.secure
        )
        return response

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        return web.Response(text=(_PAGE / name).read_text("utf-8"), content_type=_FILES[name], headers=_HEADERS)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Stream the entries, those that are there and all that come."""
        history = self._entries
        last = request.headers.get("Last-Event-ID") or request.query.get("after", "0")
        number = int(last) if last.isdigit() and len(last) < 16 else 0
        if number > history.newest:  # another server's
            number = 0
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        while not self._is_closed:
            entries = history.after(number, _AT_ONCE)
            if entries:
                missed = entries[0].number - number - 1 if number else 0
                lost = f"event: lost\ndata: {missed}\n\n" if missed else ""
                number = entries[-1].number
                await response.write((lost + "".join(map(_event, entries))).encode())
            else:
                number = history.newest  # those in between are forgotten
                await history.wait(number, _KEEPALIVE)
                if history.newest == number and not self._is_closed:
                    await response.write(b": still here\n\n")
        return response

    # ---- one row

    async def _one_row(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(exports.as_json(self._of(request)), headers=_HEADERS)

    async def _python(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=exports.as_python(self._of(request)), headers=_HEADERS)

    async def _tape(self, request: web.Request) -> web.StreamResponse:
        entries = self._of(request)
        connection = " ".join(request.query.get("row", "").split(" ")[:2])
        text = exports.as_tape(entries, self._entries.of(f"{connection} "))
        headers = {**_HEADERS, "Content-Disposition": 'attachment; filename="tape.jsonl"'}
        return web.Response(text=text, content_type="application/x-ndjson", headers=headers)

    async def _audio(self, request: web.Request) -> web.StreamResponse:
        data, audio_format, content_type = exports.as_audio(self._of(request))
        if not data:
            return web.Response(status=404, text="There is no audio.", headers=_HEADERS)
        if audio_format is not None:
            data, content_type = wav(data, audio_format), "audio/wav"
        kind = content_type.partition(";")[0]
        headers = dict(_HEADERS)
        if "save" in request.query:
            headers["Content-Disposition"] = f'attachment; filename="speech.{_SUFFIXES.get(kind, "wav")}"'
        return web.Response(body=data, content_type=kind or "audio/wav", headers=headers)

    def _of(self, request: web.Request) -> list[Entry]:
        return self._entries.of(request.query.get("row", ""))

    # ---- what the page asks for

    async def _inject(self, request: web.Request) -> web.StreamResponse:
        text = (await request.read()).decode("utf-8", "replace")[:1000]
        try:
            fault = fault_of(text)
        except ValueError as error:
            return web.Response(status=400, text=str(error), headers=_HEADERS)
        self._fault_plan.add([fault])
        self.told("fault", f"{text} injected")
        return web.Response(text=f"{text} is injected: it applies to what comes next.", headers=_HEADERS)

    async def _clear_faults(self, request: web.Request) -> web.StreamResponse:
        self._fault_plan.clear()
        self.told("fault", "all faults removed")
        return web.Response(text="All faults are removed.", headers=_HEADERS)

    async def _clear(self, request: web.Request) -> web.StreamResponse:
        self._entries.clear()
        return web.Response(text="All is forgotten.", headers=_HEADERS)

    # ---- clients that mirror themselves

    async def _mirror(self, request: web.Request) -> web.StreamResponse:
        """Take what a client has said to, and heard from, another service: a JSON object a line.

        The first has ``source``, the client's name, and ``now``, its clock's time; in each other ``at`` is a time of
        the same clock, ``do`` a method of ``Watcher``, and ``with`` its arguments.
        """
        try:
            data = await request.clone(client_max_size=_MOST_MIRRORED_BYTES).read()
            head, *lines = [json.loads(line) for line in data.split(b"\n") if line]
            source, age = str(head["source"])[:100].replace(" ", "-"), self._now() - float(head["now"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            return web.Response(status=400, text=f"expected one JSON object a line: {error}", headers=_HEADERS)
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413, text="too much at once", headers=_HEADERS)
        mirror = self._mirrors.get(source)
        if mirror is None:
            while len(self._mirrors) >= _MOST_MIRRORS:
                del self._mirrors[next(iter(self._mirrors))]
            mirror = self._mirrors[source] = _Mirror(self._entries, source)
        wrong = 0
        for line in lines:
            try:
                mirror.now = float(line["at"]) + age
                wrong += not mirror.take(str(line["do"]), list(line["with"]))
            except (KeyError, TypeError, ValueError):
                wrong += 1
        if head.get("dropped"):
            mirror.now = self._now()
            mirror.watcher.told("dropped", f"{source}: {head['dropped']} entries dropped")
        return web.Response(text=f"{len(lines) - wrong} taken, {wrong} not understood", headers=_HEADERS)


class _Mirror:
    """One client that mirrors itself."""

    _TAKEN: ClassVar[dict[str, tuple[Any, ...]]] = {
        "opened": (int, str, str),
        "refused": (int, str, str, int),
        "said": (int, str),
        "said_bytes": (int, int),
        "heard": (int, str),
        "closed": (int,),
        "asked": (int, str, str, (dict, str, type(None))),
        "answered": (int, int, str, str),
        "ended": (int, str),
    }

    def __init__(self, history: History, source: str) -> None:
        self.now = 0.0
        self.watcher = Watcher(history, source, lambda: self.now)

    def take(self, method: str, arguments: list[Any]) -> bool:
        """Take one thing; return whether it was understood."""
        types = self._TAKEN.get(method)
        if types is None or len(types) != len(arguments) or not all(map(isinstance, arguments, types)):
            return False
        if method == "said_bytes":
            self.watcher.said(arguments[0], bytes(min(arguments[1], 2**24)))
        elif method == "answered":
            number, status, content_type, data = arguments
            self.watcher.answered(number, status, content_type, data.encode("latin-1", "replace"))
        else:
            getattr(self.watcher, method)(*arguments)
        return True


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # it is no URL
        return ""


def _event(entry: Entry) -> str:
    return f"id: {entry.number}\ndata: {entry.line}\n\n"


def _options() -> str:
    return "".join(f"<option>{name}</option>" for name in FAULT_NAMES)
