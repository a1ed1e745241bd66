"""The options of a local server. A new one is a field here, its line of documentation, and the code that reads it."""

from __future__ import annotations

import functools
import inspect
import ssl
from collections.abc import Iterable, Sequence, Set
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

import msgspec

from .admission import is_address, is_loopback
from .faults import Fault

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")

__all__ = ["ServerOptions", "check_concurrency_limit", "check_reach", "takes_options"]

S = TypeVar("S")


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a ``LocalServer``. All are keywords, and none is required.

    Many are for points on which the service's documents are silent or contradict each other.

    Args:
        host: The address to listen on.
        port: The port; 0 for a free one.
        ssl_context: Speak TLS with it, and nothing else: a context for servers, with a certificate. ``None``: no TLS.
        pace: How fast the audio of each context or request is streamed, as a multiple of real time, the first chunk at
            once. ``None``: as fast as possible.
        faults: What is to go wrong; values of ``cartesia_sync.local.faults``.
        idle_timeout: Seconds without a message in either direction after which a connection is closed with code 1000;
            and without that anything of an HTTP answer is read, after which it is cut. ``None``: never.
        request_timeout: Seconds within which the head of a connection's first request has to come, and the body of
            each. ``None``: never.
        concurrency_limit: How many contexts and requests may generate at one time; one more gets status 429, a context
            by an error event. Ten times as many connections may be open. ``None``: no limit. It can be changed while
            the server runs: ``server.concurrency_limit``.
        expiry: Seconds after a context's last audio after which it is done, if no more text comes. ``None``: never.
        engine: ``"espeak"``, ``"signal"`` (a speech-like noise), or ``"auto"``: the first if it is available.
        chunk_bytes: The largest amount of audio in one chunk, 4 or more; rounded down to whole samples.
        api_keys: The credentials to accept. ``None``: any that is not empty.
        allow_anyone: Listen on an address that other machines reach, although any credential is accepted.
        allow_origins: Web pages that may use a server on loopback: ``https://example.com``, or ``*`` for all. Those of
            this machine always may; a request of any other is refused with 403, since whoever runs a server also
            browses.
        record: Keep ``handshakes``, ``heard`` and ``requests``: the newest of them, 64 MiB in all, until ``forget``.
            Without it they stay empty.
        default_buffer_delay: Seconds for which text is held if a request sets no other delay.
        cancel_stops: A cancel stops a context at once. Otherwise the sentence that is being spoken is sent to its end.
        done_after_cancel: Send ``done`` after a cancel.
        done_at_expiry: Send ``done`` when a context expires.
        reuse_ended_ids: A request for a context that has ended opens a new one, instead of an error.
        flush_id_on_chunks: Chunks and timestamps carry ``flush_id``.
        early_flush_done: Send ``flush_done`` before the flushed text's audio instead of after it.
        unasked_flush_done: With a buffer delay of 0, every transcript counts as flushed.
        timestamps_restart: Timestamps begin at 0 again after a flush.
        strict_fields: Refuse another voice, model, language or format in mid-context (requests without words excepted).
        strict_context_ids: Refuse context ids with other characters than letters, digits, ``_`` and ``-``.
        strict_first_transcript: Refuse a first transcript without a letter or digit, in a context or over HTTP.
        strict_tags: Refuse a tag, such as ``<break time="1s"/>``, that begins in one request and ends in a later one.
        strict_phonemes: Refuse phonemes in double angle brackets that are parted in this way.
        inline_phonemes: ``<<m|aɪ>>``, in a transcript or a dictionary, is spoken as phonemes. Otherwise it is text.
        whole_spell: ``<spell>AB1</spell>`` is one word in timestamps, with its tags. Otherwise each letter is one.
        regional_languages: ``language`` may have a region, such as ``en-GB``.
        pronunciation_items: Items of dictionaries have ``pronunciation``, and ``alias`` as its former name. Otherwise
            only ``alias``.
        any_voice: Each UUID is that of a voice, in speech and in ``GET /voices/{id}``. Otherwise one that is not in
            the catalogue is refused with 404 (in speech before 2026-03-01: 400).
        pings_keep_open: Pings count as messages for ``idle_timeout``.
        hears: What streaming speech to text hears, in place of what is said: one text for each utterance (a turn, or
            what ``finalize`` and ``close`` end), from the first in each session; nothing when they are used up.
            ``None``: what the server's own voice has spoken is known again, and PocketSphinx hears the rest.
        listen_limit: How many sessions that listen may be open at once, on the whole server. ``None``: no limit.
        listen_idle_timeout: Seconds without a message after which such a session is closed. ``None``: never.
        inspector: Serve ``/inspector``, a page that shows what is said and heard; see ``LocalServer.inspector_url``.
        inspector_bytes: How much of that is kept, audio included; the oldest goes first.

    Raises:
        TypeError: ``api_keys`` or ``allow_origins`` is a text.
        ValueError: A number is out of range; or other machines reach ``host``, and there are neither ``api_keys`` nor
            ``allow_anyone``.
    """

    host: str = "127.0.0.1"
    port: int = 0
    ssl_context: Optional[ssl.SSLContext] = None
    pace: Optional[float] = None
    faults: Iterable[Fault] = ()
    idle_timeout: Optional[float] = 300.0
    request_timeout: Optional[float] = 60.0
    concurrency_limit: Optional[int] = None
    expiry: Optional[float] = 1.0
    engine: str = "auto"
    chunk_bytes: int = 16384
    api_keys: Optional[Set[str]] = None
    allow_anyone: bool = False
    allow_origins: Iterable[str] = ()
    record: bool = True
    default_buffer_delay: float = 3.0
    cancel_stops: bool = True
    done_after_cancel: bool = False
    done_at_expiry: bool = True
    reuse_ended_ids: bool = False
    flush_id_on_chunks: bool = True
    early_flush_done: bool = False
    unasked_flush_done: bool = False
    timestamps_restart: bool = False
    strict_fields: bool = True
    strict_context_ids: bool = True
    strict_first_transcript: bool = True
    strict_tags: bool = True
    strict_phonemes: bool = False
    inline_phonemes: bool = True
    whole_spell: bool = True
    regional_languages: bool = True
    pronunciation_items: bool = True
    any_voice: bool = False
    pings_keep_open: bool = False
    hears: Optional[Sequence[str]] = None
    listen_limit: Optional[int] = None
    listen_idle_timeout: Optional[float] = 180.0
    inspector: bool = False
    inspector_bytes: int = 64 * 1024**2

    def __post_init__(self) -> None:
        if self.chunk_bytes < 4:
            raise ValueError("chunk_bytes must hold one sample of the widest encoding: 4 or more")
        if self.request_timeout is not None and not self.request_timeout > 0:
            raise ValueError("request_timeout must be above 0; None is never")
        if self.pace is not None and not self.pace > 0:
            raise ValueError("pace must be above 0; None is as fast as possible")
        check_concurrency_limit(self.concurrency_limit)
        if self.listen_limit is not None and self.listen_limit < 1:
            raise ValueError("listen_limit must be 1 or more; None is no limit")
        if isinstance(self.hears, str):
            raise ValueError("hears is a list of texts, not one text")
        if self.inspector_bytes < 1024:
            raise ValueError(f"inspector_bytes must be 1024 or more; got {self.inspector_bytes}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be 0 to 65535; got {self.port}")
        # Copies, so that nothing changes while the server runs.
        msgspec.structs.force_setattr(self, "allow_origins", _texts("allow_origins", self.allow_origins))
        if self.api_keys is not None:
            msgspec.structs.force_setattr(self, "api_keys", _texts("api_keys", self.api_keys))
        if is_address(self.host):  # a name is looked up when the server starts
            check_reach(self, [self.host])


def check_concurrency_limit(limit: Optional[int]) -> None:
    """Check a limit of generations.

    Raises:
        TypeError: It is neither a whole number nor ``None``.
        ValueError: It is below 1.
    """
    if limit is None:
        return
    if type(limit) is not int:  # True is one, in Python
        raise TypeError(f"concurrency_limit is a whole number or None; got {limit!r}")
    if limit < 1:
        raise ValueError(f"concurrency_limit must be 1 or more, None is no limit; got {limit}")


def check_reach(options: ServerOptions, addresses: Iterable[str]) -> None:
    """Check that the server may listen there.

    Raises:
        ValueError: Other machines reach it, and whoever is there could use it.
    """
    if options.api_keys is None and not options.allow_anyone and not all(map(is_loopback, addresses)):
        where = options.host or "all addresses"
        raise ValueError(f"other machines reach {where}: give api_keys (--api-key) or allow_anyone (--allow-anyone)")


def _texts(name: str, given: Iterable[str]) -> frozenset[str]:
    if isinstance(given, (str, bytes)):  # a set of its letters is not what was meant
        raise TypeError(f"{name} is a set of texts, such as {{'one'}}; not a text alone")
    texts = frozenset(given)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{name} is a set of texts; one of them is something else")
    return texts


def takes_options(
    options: Callable[P, ServerOptions],
) -> Callable[[Callable[[S, ServerOptions], None]], Callable[Concatenate[S, P], None]]:
    """Let a method that takes ``ServerOptions`` be called with their fields as keywords.

    Type checkers, editors and ``inspect.signature`` see those fields: they are written down only in the class.
    """

    def decorate(method: Callable[[S, ServerOptions], None]) -> Callable[Concatenate[S, P], None]:
        @functools.wraps(method)
        def call(self: S, /, *args: P.args, **fields: P.kwargs) -> None:
            method(self, options(*args, **fields))

        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        signature: Any = inspect.signature(options)
        call.__signature__ = signature.replace(  # type: ignore[attr-defined]  # inspect looks for it
            parameters=[own, *signature.parameters.values()], return_annotation=None
        )
        return call

    return decorate
