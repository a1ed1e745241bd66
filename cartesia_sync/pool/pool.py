"""The pool as users hold it."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import weakref
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Literal, Optional, Union, overload

from ..closing import Closing
from ..core import Core
from ..errors import APIConnectionError, ForkedError
from ..protocol.formats import DEFAULT_OUTPUT_FORMAT, RawFormat
from ..protocol.requests import Omit, SpeechOptions
from ..protocol.timeouts import checked_seconds
from ..streaming.connection import Connection
from ..streaming.context import Context
from ..streaming.pump import Speech
from .members import Members
from .processes import PerProcess
from .spoken import Spoken
from .tasks import Here, Task, check_transcript

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..audio.files import BinaryTarget
    from ..audio.kinds import Kind
    from ..speech.joining import Joiner, LongSpeech, Piece

CONTEXTS_A_CONNECTION = 8
"""How many texts of ``submit`` and ``map`` a pool speaks at once on each connection, where the client has no limit."""

SAID_AGAIN = 2
"""How often ``say_long`` says a piece again that was lost."""

_AHEAD = 2
"""How many texts wait beside those that have a slot, so that a slot that comes free is taken at once."""


class PoolOptions(SpeechOptions, total=False):
    """How a pool's contexts are spoken: the fields of ``SpeechOptions``, and these, as for ``Connection.context``.

    Attributes:
        timeout: Seconds between two events of a context; None is no limit.
        first_event_timeout: Seconds from a context's first push to its first event.
        whole_timeout: Seconds from a context's first push to its end.
        on_disconnect: ``raise``, or ``replay`` what was not heard when the connection is lost.
        max_queued_bytes: How much audio of a context may wait to be received.
    """

    timeout: Union[float, Omit, None]
    first_event_timeout: Union[float, Omit, None]
    whole_timeout: Union[float, Omit, None]
    on_disconnect: Literal["raise", "replay"]
    max_queued_bytes: int


OPTIONS = {**SpeechOptions.__annotations__, **PoolOptions.__annotations__}


class Pool(Closing):
    """Speaks many texts at once over a few connections; made by ``client.tts.pool()``.

    It may be made at module level, before any fork: it opens nothing and starts nothing until it is used, and each
    process has connections and threads of its own. Where the client has a limit, all that speaks waits for a slot of
    it; the pool adds no limit to ``say``, ``stream`` and ``context``, and asks ``submit`` and ``map`` to be content
    with as many at once as the limit allows, or eight a connection where there is none.

    In a ``with`` block it is closed at the end: what was submitted is finished first, unless the block is left by an
    exception, which cancels it. At the exit of the program nothing is waited for: what is not done by then is dropped.

    Threads: any, every method. Its own are daemons named ``cartesia-sync-pool-<n>``; they start with ``submit`` or
    ``map`` and end after ten idle seconds.
    """

    def __init__(
        self,
        core: Core,
        make: Callable[[], Connection],
        *,
        connections: int,
        max_age: Optional[float],
        options: Mapping[str, Any],
    ) -> None:
        if type(connections) is not int or connections < 1:
            raise ValueError(f"connections: expected a number, 1 or more, got {connections!r}")
        self._core = core
        self._connections = connections
        self._options = _checked(options)
        age = checked_seconds("max_age", max_age)

        def most_at_once() -> int:
            return _slots_of(core) or CONTEXTS_A_CONNECTION * connections

        self._most_at_once = most_at_once
        self._per_process: PerProcess[Here] = PerProcess(
            lambda: Here(Members(make, connections, age), lambda: most_at_once() + _AHEAD),
            leave=lambda here: here.members.leave_to_parent(),
        )
        # Threads hold what they are at, and not this handle: when nobody holds it any more they end after that.
        weakref.finalize(self, _let_go, self._per_process).atexit = False
        core._shared.keep(self)

    def __repr__(self) -> str:
        is_closed = any(here.is_closed for here in self._per_process.peek())
        return f"<Pool of {self._connections} connection{'s' * (self._connections > 1)}{', closed' * is_closed}>"

    def __reduce__(self) -> str:
        raise TypeError(
            "a pool belongs to its process and cannot travel to another; send the client, which can, and call "
            "client.tts.pool() there, or make the pool at module level, where each process finds one of its own"
        )

    def _here(self) -> Here:
        here = self._per_process()
        if self._core._shared.is_closed:
            here.is_closed = True
        here.check_open()
        return here

    def _with(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._options, **_checked(options)}

    # ---- one text

    def say(self, transcript: str, **options: Unpack[PoolOptions]) -> Spoken:
        """Speak a text, and return it whole: the audio, the times, the metrics.

        Interrupted, it cancels what it was speaking.

        Args:
            transcript: What to say. Without a letter or digit in it, the audio is empty and the service is not asked.
            **options: In place of the pool's; see ``PoolOptions``.

        Raises:
            TypeError: The transcript is no text, or there is no such option.
            ValueError: There is no voice.
            WebSocketConnectionClosedError: The pool, or the client, is closed.
            Others: As ``Context.push`` and ``Context.audio``.

        Threads: any, at once; the caller's own speaks. Waits for a slot of the client's limit, for a connection where
        none is open, and for the whole audio, as long as the timeouts allow.
        """
        return self._here().say(transcript, self._with(options))

    def submit(self, transcript: str, **options: Unpack[PoolOptions]) -> Future[Spoken]:
        """Have a text spoken by a thread of the pool; return its future.

        ``future.cancel()`` takes it out before it has begun. A text of a pool that is closed by ``close(cancel=True)``
        raises ``concurrent.futures.CancelledError``. Any number may wait, in the order of asking; ``map`` is for more
        texts than are to be held at once.

        Args:
            transcript: As for ``say``.
            **options: As for ``say``.

        Raises:
            TypeError: As ``say``.
            WebSocketConnectionClosedError: The pool, or the client, is closed.
            APIConnectionError: The system gives no thread. All else is the future's.

        Threads: any. Does not wait.
        """
        return self._here().submit(transcript, self._with(options)).future

    # ---- many texts

    @overload
    def map(
        self,
        transcripts: Iterable[str],
        *,
        as_completed: bool = False,
        errors: Literal["raise"] = "raise",
        **options: Unpack[PoolOptions],
    ) -> Iterator[Spoken]: ...

    @overload
    def map(
        self,
        transcripts: Iterable[str],
        *,
        as_completed: bool = False,
        errors: Literal["give"],
        **options: Unpack[PoolOptions],
    ) -> Iterator[Union[Spoken, Exception]]: ...

    def map(
        self,
        transcripts: Iterable[str],
        *,
        as_completed: bool = False,
        errors: Literal["raise", "give"] = "raise",
        **options: Unpack[PoolOptions],
    ) -> Iterator[Union[Spoken, Exception]]:
        """Speak texts, as many at once as there are slots, and iterate what was spoken.

        Lazy: nothing is taken before the first ``next``, and never more than two texts beyond the client's limit (or
        beyond eight a connection, where it has none) that were not given yet. So the texts may be endless.
        Leaving the iteration cancels what is under way.

        Args:
            transcripts: The texts; iterated in the caller's thread. What it raises is raised here, at once.
            as_completed: Whether each is given as soon as it is spoken, rather than in the order of the texts. Each
                ``Spoken`` has its ``transcript``.
            errors: What becomes of a text that fails: ``raise`` raises, which ends the iteration; ``give`` gives the
                exception in its place.
            **options: As for ``say``.

        Raises:
            TypeError: ``transcripts`` is one text, or nothing to iterate; or there is no such option.
            ValueError: ``errors`` is neither.
            ForkedError: The iteration was begun in the parent process.
            Others: As ``say``.

        Threads: one iterates. Waits for the next text of the iterable, and for what is given next as ``say`` does.
        """
        if errors not in ("raise", "give"):
            raise ValueError(f"errors is 'raise' or 'give'; got {errors!r}")
        if isinstance(transcripts, (str, bytes)):
            raise TypeError("map() takes an iterable of texts; for one text there is say()")
        self._here()
        spoken = _in_turn(self._here, self._with(options), iter(transcripts), self._window, in_order=not as_completed)
        return _raising(spoken) if errors == "raise" else spoken

    def _window(self) -> int:
        return self._most_at_once() + _AHEAD

    def say_long(
        self,
        text: str,
        path: Union[str, os.PathLike[str], BinaryTarget],
        *,
        captions: Union[str, os.PathLike[str], None] = None,
        kind: Optional[Kind] = None,
        pause: float = 0.5,
        on_progress: Optional[Callable[[float], object]] = None,
        **options: Unpack[PoolOptions],
    ) -> LongSpeech:
        """Speak a long text into one file: its paragraphs at once, as ``map`` does, joined in order.

        Paragraphs are parted by blank lines; those of more than 1,000 characters are cut between sentences, and no tag
        is cut. What a tag sets, such as the speed, holds until its paragraph, or piece, ends. A piece that is lost with
        its connection is said again, twice at most. The audio is written as it comes, so that a book takes no more
        memory than the pieces that are spoken at once, and the words and their times.

        Args:
            text: All of it.
            path: Where the audio is to be; it appears there when it is whole, in place of one that is there already. Or
                a writable binary file object.
            captions: Where captions are to be, by the suffix SubRip, WebVTT, ASS or JSON; they appear with the audio.
                Needs the extra ``captions``. Others are made of what this returns, by ``captions(max_chars=...)``.
            kind: ``wav``, ``mp3``, ``ogg``, ``opus`` or ``flac``; None goes by the path's suffix, and writes WAV where
                that says nothing. All but WAV need the extra ``audio``.
            pause: Seconds of silence between two paragraphs.
            on_progress: Called in this thread with the seconds of audio that are there, after each piece. What it
                raises ends this call.
            **options: As for ``say``; ``add_timestamps`` is asked for unless it is given here or was to the pool.

        Returns the length, the words, which fit the text, and the paragraphs, with their times.

        Raises:
            TypeError: The text is none, or there is no such option.
            ValueError: There is no such kind, it does not take the sample rate, or a WAV file will not hold so much;
                captions were asked for without timestamps; or there is no letter or digit in the text.
            ImportError: An extra is missing, which the error names.
            OSError: A file cannot be written.
            Others: As ``map``. Neither file is made then, and what is under way is cancelled.

        Threads: any, at once. Waits for all of the text.
        """
        from ..speech.joining import Joiner, pieces_of

        given = self._with(options)
        given.setdefault("add_timestamps", True)
        if captions is not None and not given["add_timestamps"]:
            raise ValueError("captions need the times of words; got add_timestamps=False")
        audio_format = RawFormat.if_known(given.get("output_format") or DEFAULT_OUTPUT_FORMAT)
        pieces, again = itertools.tee(pieces_of(text))
        transcripts = (piece.text for piece in again)
        self._here()
        joiner = Joiner(text, path, kind=kind, captions=captions, pause=pause, audio_format=audio_format)
        spoken = _in_turn(self._here, given, transcripts, self._window, in_order=True)
        with joiner, contextlib.closing(spoken):
            self._join(joiner, zip(pieces, spoken), given, on_progress)
        return joiner.speech

    def _join(
        self,
        joiner: Joiner,
        items: Iterable[tuple[Piece, Union[Spoken, Exception]]],
        options: Mapping[str, Any],
        on_progress: Optional[Callable[[float], object]],
    ) -> None:
        """Join what is spoken of pieces. No loop of this kind in a ``with`` block."""
        for piece, item in items:
            found = self._said_again(piece.text, item, options)
            seconds = joiner.add(piece, [found.audio], found.audio_format, found.words)
            if on_progress is not None:
                on_progress(seconds)

    def _said_again(self, transcript: str, item: Union[Spoken, Exception], options: Mapping[str, Any]) -> Spoken:
        """Return what was spoken; say again what was lost with its connection."""
        for _ in range(SAID_AGAIN):
            if not isinstance(item, APIConnectionError):
                break
            try:
                return self._here().say(transcript, options)
            except APIConnectionError as error:
                item = error
        if isinstance(item, Exception):
            raise item
        return item

    # ---- everything else

    def stream(
        self,
        text: Union[str, Iterable[str]],
        *,
        on_expiry: Literal["continue", "raise"] = "continue",
        **options: Unpack[PoolOptions],
    ) -> Speech:
        """Speak a text, or pieces of text as an iterable yields them, and iterate the audio's events meanwhile.

        Args:
            text: As for ``Context.speak``.
            on_expiry: As for ``Context.speak``.
            **options: As for ``say``.

        Returns an iterator of events with ``close()``, ``metrics`` and ``context_id``, to be used in ``with`` or to its
        end; closing it early cancels the context.

        Raises and threads: as ``Context.speak``; WebSocketConnectionClosedError where the pool, or the client, is
        closed.
        """
        return self.context(**options).speak(text, on_expiry=on_expiry)

    def context(self, context_id: Optional[str] = None, **options: Unpack[PoolOptions]) -> Context:
        """Begin a context on one of the connections, for all that is not above; see ``Connection.context``.

        Args:
            context_id: As there.
            **options: As for ``say``.

        Raises:
            TypeError, ValueError, ContextStateError: As there.
            WebSocketConnectionClosedError: The pool, or the client, is closed.

        Threads: any. Does not wait: the first push opens the connection where it must.
        """
        return self._here().begin_context({**self._with(options), "context_id": context_id})

    def open(self, count: Optional[int] = None) -> None:
        """Open connections now, so that no first text waits for them; those that are open stay so.

        Args:
            count: How many are to be open; all by default.

        Raises:
            ValueError: The pool has not so many.
            Others: As ``websocket_connect().enter()``.

        Threads: any. Waits for each of them at most for the connect timeout.
        """
        if count is None:
            count = self._connections
        if type(count) is not int or not 0 <= count <= self._connections:
            raise ValueError(f"open() takes a number up to the pool's {self._connections} connections; got {count!r}")
        self._here().members.open(count)

    def close(self, *, cancel: bool = False, timeout: Optional[float] = None) -> None:
        """End the pool in this process: take no more texts, finish those that were taken, and close the connections.

        What ``say``, ``submit`` and ``map`` have taken is finished; contexts of ``context`` and ``stream`` that are not
        at their end then get a ``TruncatedError``. A second call does nothing.

        Args:
            cancel: Cancel what was taken in place of finishing it.
            timeout: Seconds to finish it within; what is not done by then is cancelled. None: as long as the timeouts
                of its contexts allow.

        Threads: any; from a thread of the pool, as in ``on_spoken``, it does not wait for that thread's own text. Waits
        for what was taken, and at most twice the close timeout for each connection's goodbye.
        """
        for here in self._per_process.peek() or [self._per_process()]:
            try:
                if not cancel:
                    here.finish(timeout)
            finally:  # Ctrl-C while it waits: nothing goes on behind its back
                here.end()

    def _end_with_client(self) -> None:
        """End, since the client is closed: what is spoken is cancelled."""
        for here in self._per_process.peek():
            here.end()

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self.close(cancel=kind is not None)


def _let_go(per_process: PerProcess[Here]) -> None:
    """Let a pool's threads end that nobody holds any more, after what they are at."""
    for here in per_process.peek():
        here.workers.stop()


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    for name in options:
        if name not in OPTIONS:
            raise TypeError(f"a pool takes no {name!r}; the options are {', '.join(OPTIONS)}")
    return {**options}


def _slots_of(core: Core) -> Optional[int]:
    """Return how many contexts the client's limit allows now; None where there is none, or it does not say."""
    return None if core.limit is None else core.limit.allowed


def _in_turn(
    here_of: Callable[[], Here],
    options: Mapping[str, Any],
    transcripts: Iterator[str],
    window: Callable[[], int],
    *,
    in_order: bool,
) -> Generator[Union[Spoken, Exception], None, None]:
    """Give what was spoken, or what it failed with; see ``Pool.map``."""
    process = os.getpid()
    waiting: deque[Union[Task, _Refused]] = deque()
    done: queue.SimpleQueue[Future[Spoken]] = queue.SimpleQueue()
    is_at_end = False
    try:
        while True:
            if os.getpid() != process:
                waiting.clear()  # they are the parent's
                raise ForkedError("This iteration was begun before a fork and belongs to the parent; call map() here.")
            if not is_at_end:
                wanted = max(window() - len(waiting), 0)
                taken = 0
                for transcript in itertools.islice(transcripts, wanted):
                    task = _submitted(here_of(), transcript, options)
                    waiting.append(task)
                    if not in_order:
                        task.future.add_done_callback(done.put)
                    taken += 1
                is_at_end = taken < wanted
            if not waiting:
                return
            if in_order:
                future = waiting.popleft().future
            else:
                future = done.get()
                waiting.remove(next(task for task in waiting if task.future is future))
            yield _result_of(future)
            del future
    finally:
        for task in waiting:
            task.drop()


class _Refused:
    """Stands for a text that was none."""

    def __init__(self, error: TypeError) -> None:
        self.future: Future[Spoken] = Future()
        self.future.set_exception(error)

    def drop(self) -> None:
        """Do nothing: it never began."""


def _submitted(here: Here, transcript: str, options: Mapping[str, Any]) -> Union[Task, _Refused]:
    try:
        check_transcript(transcript)
    except TypeError as error:  # it fails alone, as any other text
        return _Refused(error.with_traceback(None))
    return here.submit(transcript, options)


def _result_of(future: Future[Spoken]) -> Union[Spoken, Exception]:
    try:
        return future.result()
    except Exception as error:  # whatever the text failed with, which is what is asked for
        return error


def _raising(items: Iterator[Union[Spoken, Exception]]) -> Iterator[Spoken]:
    for item in items:
        if isinstance(item, Exception):
            raise item
        yield item
