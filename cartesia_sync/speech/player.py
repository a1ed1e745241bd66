"""Speech aloud: several speeches in turn, and what the listener has heard of each, to the word."""

from __future__ import annotations

import _thread
import atexit
import contextlib
import itertools
import os
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable, NamedTuple, Optional, Union

from ..audio.samples import scaled, to_samples
from ..closing import Closing
from ..errors import ForkedError, PlaybackError
from ..protocol.events import Chunk, Error, Timestamps
from ..protocol.failures import error_of
from ..protocol.formats import RawFormat
from . import device as devices_room
from .device import Device, OpenDevice, OutputDevice
from .timeline import Timeline, first_start
from .words import Aligner, Word

FRAME_BYTES = 4
"""Of a sample as devices take it, a 32-bit float."""
STALL_SECONDS = 5.0
"""A device that has asked for nothing for so long has gone, whatever the system says."""
JOIN_SECONDS = 2.0
"""How long ``close()`` waits for threads that may be in a user's iterable."""
LOUDEST_DB = 24.0

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Heard:
    """How much of a speech its listener has heard.

    What the device has taken and not played yet counts as unheard; so does a word that is not at its end.

    Attributes:
        seconds: How much of the speech's audio, pauses and gaps not counted.
        text: The beginning of the text that was sent, up to the last word heard, marks behind it included; all of it
            where all was heard. Where that word cannot be found in it, the words alone. None where the service sent no
            timestamps (ask for ``add_timestamps=True``) and not all was heard.
        words: The words heard, with their times.
        total_seconds: How much audio had arrived, heard or not.
    """

    seconds: float
    text: Optional[str]
    words: tuple[Word, ...]
    total_seconds: float


class _Once:
    """Something that happens once, and can be waited for. To make it happen takes no lock."""

    __slots__ = ("_waiters", "has_happened")

    def __init__(self) -> None:
        self.has_happened = False
        self._waiters: deque[queue.SimpleQueue[None]] = deque()

    def happen(self) -> None:
        """Wake all that wait. Threads: any, a device's included. Does not wait."""
        self.has_happened = True
        with contextlib.suppress(IndexError):
            while True:
                self._waiters.popleft().put(None)

    def wait(self, seconds: Optional[float]) -> bool:
        """Wait for it, at most so long (None: until it happens); return whether it has."""
        waiter: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._waiters.append(waiter)
        if not self.has_happened:
            with contextlib.suppress(queue.Empty):
                waiter.get(timeout=None if seconds is None else max(0.0, seconds))
        with contextlib.suppress(ValueError):
            self._waiters.remove(waiter)
        return self.has_happened


class Playback:
    """One speech that is played, or waits for its turn; made by ``Player.play``.

    Threads: any, for all of it.
    """

    def __init__(self, source: Any, fmt: Optional[RawFormat], player: Player) -> None:
        self._source = source
        self._format = fmt
        self._keeps_alive: Optional[Player] = player
        self._process = os.getpid()
        self._blocks: deque[bytes] = deque()  # the feeder puts, the device takes
        self._begun = memoryview(b"")  # the block that the device is in; its own, as are the next four
        self._taken = 0  # frames
        self._heard = 0  # frames that have left the device's buffer
        self._is_dry = False
        #: How often there was nothing to play in the midst of it, since the audio came too late.
        self.underruns = 0
        self._arrived = 0  # frames; the feeder's
        self._flush_starts: dict[int, int] = {}  # likewise, in frames
        self._timeline = Timeline(self._start_of_flush)  # the feeder's, as are the next two
        self._aligner = Aligner()
        self._known = ""  # of the transcript
        self._words: list[Word] = []
        self._is_fed = False  # all of it has arrived
        self._turn_is_over = _Once()  # the next may stand in line
        self._over = _Once()  # heard to its end, stopped, or failed
        self._stopped: list[Heard] = []  # the first one counts
        self._errors: list[BaseException] = []  # likewise
        self._is_paused = False
        self._output: Optional[_Output] = None

    def __repr__(self) -> str:
        heard = self.heard
        state = "over" if self.is_over else "paused" if self._is_paused else "playing"
        return f"<Playback {state}, {heard.seconds:.2f} of {heard.total_seconds:.2f} s heard>"

    @property
    def is_over(self) -> bool:
        """Whether it was heard to its end, stopped, or failed."""
        return self._over.has_happened

    @property
    def is_paused(self) -> bool:
        """Whether ``pause()`` was called, and ``resume()`` not yet."""
        return self._is_paused

    @property
    def heard(self) -> Heard:
        """How much of it was heard until now, or until it was stopped. Does not wait."""
        if self._stopped:
            return self._stopped[0]
        return self._heard_of(self._heard if self._output is None else self._output.heard_of(self))

    def pause(self) -> None:
        """Be silent, after what the device has taken already, and let those after it wait.

        The audio goes on arriving, so that the context keeps its slot until the service is done and no longer.
        Idempotent. Does not wait.
        """
        self._is_paused = True

    def resume(self) -> None:
        """Go on after ``pause()``. Does not wait."""
        self._is_paused = False

    def stop(self) -> Heard:
        """End it now: cancel its context, play nothing more of it, and return what was heard.

        What the device has taken already, the player's ``buffer_seconds`` at most, still sounds, and counts as unheard.
        After its end it changes nothing, and returns the same. Does not wait: a signal's handler may call it.
        """
        heard = self.heard
        if not self.is_over:
            self._stopped.append(heard)
            self._end()
            _close(self._source)
        return self._stopped[0] if self._stopped else heard

    def wait(self, timeout: Optional[float] = None) -> Heard:
        """Wait until it was heard to its end, or stopped by another thread; return what was heard.

        Args:
            timeout: Seconds; None waits as long as it takes: the context's own timeouts bound that, a device that
                asks for no audio for 5 s has gone, and a pause lasts until somebody ends it.

        Raises:
            TimeoutError: So many seconds have passed; it plays on.
            PlaybackError: The device cannot be opened, has gone, or has stopped asking for audio. The context is
                cancelled.
            Others: What the context or the iterable raised; what had arrived was played before.
            ForkedError: It is the parent process's.
        """
        if self._process != os.getpid():
            raise ForkedError("this speech is played by the parent process")
        ends_at = None if timeout is None else time.monotonic() + timeout
        while True:
            bounds = [] if ends_at is None else [ends_at]
            output = self._output
            if output is not None:
                bounds.append(output.asked_at + STALL_SECONDS)
            if self._over.wait(min(bounds) - time.monotonic() if bounds else None):
                break
            if ends_at is not None and time.monotonic() >= ends_at:
                raise TimeoutError(f"the speech was not heard to its end in {timeout} seconds")
            if output is not None and time.monotonic() >= output.asked_at + STALL_SECONDS:
                output.fail(f"the device has not asked for audio for {STALL_SECONDS:g} seconds")
        if self._errors:
            raise self._errors[0]
        return self.heard

    # ---- the feeder

    def _feed(self, items: Iterable[Any], stand_in_line: Callable[[], None]) -> None:
        """Take all of the source, and put its audio where the device finds it."""
        rest = b""
        for item in items:
            if self.is_over:
                break
            if isinstance(item, Chunk):
                audio = item.audio
            elif isinstance(item, (bytes, bytearray, memoryview)):
                audio = bytes(item)
            elif isinstance(item, Timestamps):
                self._note_words(item)
                continue
            elif isinstance(item, Error) and item.context_id is not None:
                raise error_of(item)
            else:
                continue
            if self._output is None:
                stand_in_line()
            fmt = self._format
            assert fmt is not None
            joined = rest + audio
            whole = len(joined) // fmt.sample_bytes * fmt.sample_bytes
            rest = joined[whole:]
            if isinstance(item, Chunk) and item.flush_id is not None:
                self._flush_starts.setdefault(item.flush_id, self._arrived)
            if whole:
                self._blocks.append(to_samples(joined[:whole], fmt.encoding).tobytes())
                self._arrived += whole // fmt.sample_bytes

    def _note_words(self, event: Timestamps) -> None:
        transcript = self._transcript()
        if transcript != self._known:
            self._aligner.set_transcript(transcript)
            self._known = transcript
        self._words.extend(self._aligner.feed(self._timeline.feed(event)))

    def _start_of_flush(self, flush_id: int) -> Optional[float]:
        start = first_start(tuple(self._flush_starts.items()), flush_id)
        return None if start is None or self._format is None else start / self._format.sample_rate

    def _transcript(self) -> str:
        return "".join(getattr(self._source, "transcripts", ()))

    def _end(self, error: Optional[BaseException] = None) -> None:
        """Be over, and have the context cancelled. Threads: any, the device's included. Does not wait."""
        if error is not None:
            self._errors.append(error)
        self._end_heard()
        cancel = getattr(self._source, "cancel", None)
        if cancel is not None:
            cancel()

    def _end_heard(self) -> None:
        """Be over at its natural end. Threads: the device's. Does not wait."""
        self._over.happen()
        self._turn_is_over.happen()

    # ---- the device's thread

    def _take(self, frames: int) -> bytes:
        """Return at most so many frames; b"" where none is there."""
        if not self._begun:
            try:
                self._begun = memoryview(self._blocks.popleft())
            except IndexError:
                return b""
        taken, self._begun = self._begun[: frames * FRAME_BYTES], self._begun[frames * FRAME_BYTES :]
        return bytes(taken)

    # ---- what was heard

    def _heard_of(self, frames: int) -> Heard:
        fmt = self._format
        if fmt is None:
            return Heard(0.0, "", (), 0.0)
        is_all = self._is_fed and not self._errors and frames >= self._arrived
        seconds = frames / fmt.sample_rate
        words = tuple(self._words)
        heard = words if is_all else tuple(each for each in words if each.end <= seconds + 1e-6)
        text = self._transcript()
        if is_all and text:
            said: Optional[str] = text
        elif not heard:
            said = "" if words or not frames else None
        elif heard[-1].text_end is not None:
            said = text[: heard[-1].text_end]
        else:
            said = " ".join(each.text for each in heard)
        return Heard(seconds, said, heard, self._arrived / fmt.sample_rate)


def _close(source: Any) -> None:
    """Close a source that has ``close()`` and no ``cancel()``."""
    close = None if hasattr(source, "cancel") else getattr(source, "close", None)
    if close is not None:
        with contextlib.suppress(ValueError):  # a generator that is running: its feeder closes it after its next item
            close()


class _Segment(NamedTuple):
    """A stretch of one speech as the device has taken it."""

    ends_at: int  # in frames that the device has taken in all
    frames: int
    playback: Playback
    taken: int  # of the speech, at its end


class _Output:
    """One device that is open: which speeches stand in line, and where each is in what the device has taken.

    The device's thread owns all but ``line``, to which feeders append, and asks without ever waiting. Others read: what
    they must see as one is a tuple, which is replaced.
    """

    def __init__(self, device: Device, sample_rate: int, gains: list[float]) -> None:
        self.device = device
        self.sample_rate = sample_rate
        self._gains = gains  # one, the player's
        self.line: list[Playback] = []
        self._segments: tuple[_Segment, ...] = ()
        self._draining: tuple[tuple[int, Playback], ...] = ()
        self._asked = 0  # frames
        self.asked_at = time.monotonic()
        self.is_lost = False

    def start(self) -> None:
        self.asked_at = time.monotonic()
        self.device.start(self._fill, lambda: self.fail("the device has gone"))

    def _fill(self, frames: int) -> bytes:
        """Give the device what it asks for. Threads: the device's."""
        try:
            self.asked_at = time.monotonic()
            audio = b"".join(self._next(frames))
            self._asked += frames
            self._drain()
            gain = self._gains[0]
            if gain != 1.0:
                audio = scaled(audio, gain)
            return audio + bytes(frames * FRAME_BYTES - len(audio))
        except BaseException as error:  # there is nobody above who could see it: C called us
            self.fail(f"the player failed: {error!r}", error)
            return bytes(frames * FRAME_BYTES)

    def _next(self, frames: int) -> Iterator[bytes]:
        """Give what is to be played, as far as it is there."""
        asked = self._asked
        while frames and self.line:
            playback = self.line[0]
            if playback.is_over:
                self.line.pop(0)
                continue
            if playback._is_paused:
                return
            is_fed = playback._is_fed  # before the look: what was put before it is seen
            piece = playback._take(frames)
            if piece:
                count = len(piece) // FRAME_BYTES
                asked, frames = asked + count, frames - count
                playback._is_dry = False
                self._segments = (*self._segments, _Segment(asked, count, playback, playback._taken + count))
                playback._taken += count
                yield piece
            elif is_fed:
                self._draining = (*self._draining, (asked, playback))
                self.line.pop(0)
            else:
                if playback._taken and not playback._is_dry:
                    playback._is_dry = True
                    playback.underruns += 1
                return

    def _drain(self) -> None:
        """Note what has left the device's buffer."""
        played = self._asked - self.device.buffer_frames
        while self._segments and self._segments[0].ends_at <= played:
            segment = self._segments[0]
            segment.playback._heard = segment.taken  # before it is gone: others look here then
            self._segments = self._segments[1:]
        while self._draining and self._draining[0][0] <= played:
            self._draining[0][1]._end_heard()
            self._draining = self._draining[1:]

    def heard_of(self, playback: Playback) -> int:
        """Return how many frames of a speech have left the device's buffer. Threads: any. Does not wait."""
        played = self._asked - self.device.buffer_frames
        segments, heard = self._segments, playback._heard
        for each in segments:
            if each.playback is playback:
                heard = max(heard, each.taken - min(each.frames, max(0, each.ends_at - played)))
                if each.ends_at > played:
                    break  # what comes later is not heard either
        return heard

    def fail(self, words: str, cause: Optional[BaseException] = None) -> None:
        """End all that is played here. Threads: any, the device's included. Does not wait."""
        self.is_lost = True
        for playback in [*self.line[:], *(each for _, each in self._draining)]:
            error = PlaybackError(words)
            error.__cause__ = cause
            playback._end(error)


class Player(Closing):
    """Plays speech while it arrives, one after the other, on a device of this machine.

    ::

        with Player() as player:
            speech = player.play(context)   # returns at once
            ...
            heard = speech.stop()           # or speech.wait()

    The device is opened for the first speech and asked for silence between them; ``close()``, and the end of the
    ``with`` block, stop what is still played: ``wait()`` first. Another sample rate opens the device anew, once what
    was before has been heard. Needs the extra ``play``.

    Threads: any. Each speech is fed by a thread of its own, and the device asks in another, which never waits.
    """

    def __init__(
        self,
        device: Union[str, OutputDevice, OpenDevice, None] = None,
        *,
        volume_db: float = 0.0,
        buffer_seconds: float = 0.06,
    ) -> None:
        """Take note of the device; nothing is opened before the first speech.

        Args:
            device: One of ``devices()``, or its name, or a part of it; None is the system's own choice. ``"null"``
                takes audio in real time and plays it nowhere. Or a function that gets the sample rate in Hz and
                returns a ``Device`` of your own.
            volume_db: How loud, in decibels: 0 as it came, -6 half the amplitude, at most 24; ``-math.inf`` is silence.
            buffer_seconds: How much the device holds at least. Less answers faster, and stutters on a busy machine.

        Raises:
            ImportError: The extra ``play`` is not installed.
            TypeError, ValueError: An argument is none.
        """
        if isinstance(buffer_seconds, bool) or not isinstance(buffer_seconds, (int, float)):
            raise TypeError(f"buffer_seconds: expected a number of seconds, got {buffer_seconds!r}")
        if not 0.005 <= buffer_seconds <= 2:
            raise ValueError(f"buffer_seconds: expected 0.005 to 2, got {buffer_seconds!r}")
        if device is None or isinstance(device, (str, OutputDevice)):
            self._open: OpenDevice = devices_room.opener(device, buffer_seconds)
        elif callable(device):
            self._open = device
        else:
            raise TypeError(f"device: expected a name, one of Player.devices(), or a function, got {device!r}")
        self._gains = [1.0]  # a list, which an output holds, and not the player
        self.volume_db = volume_db
        self._lock = threading.Lock()  # guards _playing where it is replaced; held for one store
        self._playing: list[Playback] = []  # in the order of their turns, but for some that are over
        self._outputs: list[_Output] = []  # the one that is open
        self._feeders: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._is_closed = False
        self._process = os.getpid()
        _players.add(self)

    @staticmethod
    def devices() -> list[OutputDevice]:
        """Return the devices of this machine that play sound. Waits for the system, some milliseconds.

        Raises:
            ImportError: The extra ``play`` is not installed.
            PlaybackError: The system cannot say.
        """
        return devices_room.devices()

    @property
    def volume_db(self) -> float:
        """How loud, in decibels; it may be changed while speech is played, and is heard a buffer later."""
        return self._volume_db

    @volume_db.setter
    def volume_db(self, volume_db: float) -> None:
        if isinstance(volume_db, bool) or not isinstance(volume_db, (int, float)):
            raise TypeError(f"volume_db: expected a number of decibels, got {volume_db!r}")
        if not volume_db <= LOUDEST_DB:
            raise ValueError(f"volume_db: expected at most {LOUDEST_DB:g} dB, got {volume_db!r}")
        self._volume_db = volume_db
        self._gains[0] = 10.0 ** (volume_db / 20)

    def play(self, source: Any, *, output_format: Optional[Mapping[str, Any]] = None) -> Playback:
        """Play a speech, after those that came before; return at once.

        Args:
            source: A context, to which everything may still be pushed; an iterator over events, such as
                ``context.receive()`` or ``context.speak(...)``; an iterable of pieces of raw audio; or raw audio. It is
                received from in a thread of the player's, and is the player's from now on. To stop the speech calls
                its ``cancel()``, which must not wait, or else its ``close()``.
            output_format: What the audio is, as for ``connection.context()``; needed where the source does not know.

        Raises:
            TypeError: The source is none of these.
            ValueError: The player is closed, or the format is no raw format.
            ForkedError: The player is the parent process's.
            PlaybackError: The system gives no thread for it.

        Threads: any. Does not wait; whatever fails later is raised by ``wait()``.
        """
        if self._process != os.getpid():
            raise ForkedError("this player is the parent process's; make one here")
        if self._is_closed:
            raise ValueError("the player is closed")
        fmt = _format_of(source) if output_format is None else RawFormat.of(output_format)
        if isinstance(source, (bytes, bytearray, memoryview)):
            source = iter([bytes(source)])
        elif isinstance(source, str) or not (hasattr(source, "receive") or hasattr(source, "__iter__")):
            raise TypeError(f"play() takes a context, its events, or raw audio; got {type(source).__name__}")
        playback = Playback(source, fmt, self)
        feeder = threading.Thread(
            target=_feed, name=f"cartesia-sync-player-{next(_numbers)}", args=(self, playback), daemon=True
        )
        try:
            self._feeders.add(feeder)
            with self._lock:
                self._playing = [*itertools.filterfalse(_is_over, self._playing), playback]
            feeder.start()
        except RuntimeError as error:  # no more threads: the system's limit, or the interpreter is at its end
            playback._end()
            raise PlaybackError(f"the thread that takes the audio cannot be started: {error}") from error
        except BaseException:  # nobody would feed it, nor give the next its turn
            playback._end()
            raise
        return playback

    def stop(self) -> list[Heard]:
        """Stop all that is played or waits for its turn; return what was heard of each, in order. Does not wait."""
        return [playback.stop() for playback in self._playing if not playback.is_over]

    def close(self) -> None:
        """Stop all, and give the device back. Idempotent.

        Threads: any but the device's. Waits for the device, and for threads that are in a user's iterable, at most 2 s.
        """
        self._is_closed = True
        if self._process != os.getpid():
            return
        self.stop()
        self._close_outputs()
        ends_at = time.monotonic() + JOIN_SECONDS
        for feeder in tuple(self._feeders):
            if feeder is not threading.current_thread() and feeder.is_alive():
                feeder.join(max(0.0, ends_at - time.monotonic()))

    def _close_outputs(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._outputs.pop().device.close()

    def __del__(self) -> None:
        # Not here: the collector may run in the device's own thread, for which closing it would wait.
        outputs = getattr(self, "_outputs", None)
        if outputs and self._process == os.getpid():
            with contextlib.suppress(RuntimeError):  # at the interpreter's end there are no threads
                _thread.start_new_thread(_close_all, (list(outputs),))

    # ---- the feeders

    def _stand_in_line(self, playback: Playback) -> None:
        """Wait for a speech's turn, open the device if need be, and stand in its line. Threads: the speech's feeder."""
        fmt = playback._format = playback._format or _format_of(playback._source)
        if fmt is None:
            raise ValueError("the audio's format is not known: give output_format to play()")
        for before in itertools.takewhile(lambda each: each is not playback, self._playing):
            before._turn_is_over.wait(None)
            if before._output is not None and before._output.sample_rate != fmt.sample_rate:
                before._over.wait(None)
        if playback.is_over:
            return
        output = self._outputs[-1] if self._outputs else None
        if output is None or output.is_lost or output.sample_rate != fmt.sample_rate:
            self._close_outputs()
            output = _Output(self._open(fmt.sample_rate), fmt.sample_rate, self._gains)
            output.start()
            self._outputs.append(output)
        playback._output = output
        output.line.append(playback)
        if output.is_lost:  # meanwhile
            raise PlaybackError("the device has gone")
        if self._is_closed:
            self._close_outputs()


def _feed(player: Player, playback: Playback) -> None:
    """Feed one speech. Threads: its own."""
    source, error = playback._source, None
    try:
        if playback._format is not None:
            player._stand_in_line(playback)  # before anything comes, so that the first sound need not wait for it
        receive = getattr(source, "receive", None)
        items = source if receive is None else receive(raise_on_error=True)
        playback._feed(items, lambda: player._stand_in_line(playback))
    except BaseException as failure:  # whatever the user's iterable raises is for wait()
        error = failure
    if error is not None and not playback.is_over:
        playback._errors.append(error)
    playback._is_fed = True
    if playback._output is None or isinstance(error, PlaybackError):
        playback._end()  # there is nothing to be heard to its end
    playback._turn_is_over.happen()
    if playback.is_over or error is not None:
        with contextlib.suppress(Exception):  # a user's, in its end; there is nobody left to tell
            _close(source)


def _is_over(playback: Playback) -> bool:
    return playback.is_over


def _format_of(source: Any) -> Optional[RawFormat]:
    found = getattr(source, "audio_format", None)
    return found if isinstance(found, RawFormat) else None


def _close_all(outputs: list[_Output]) -> None:
    for output in outputs:
        output.device.close()


_players: weakref.WeakSet[Player] = weakref.WeakSet()


@atexit.register
def _close_players() -> None:
    """Close the devices while their threads can still run Python."""
    for player in tuple(_players):
        player.close()
