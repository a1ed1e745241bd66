"""One pass, many uses: events are kept while they are iterated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union, cast

from ..audio.kinds import asks_for_captions
from ..audio.spool import Spool
from ..closing import Closing
from ..errors import ContextStateError
from ..protocol.events import BaseEvent, Chunk, Done, Event, FlushDone, PhonemeTimestampsEvent, Timestamps
from ..protocol.formats import RawFormat
from .captions import MAX_CHARS, MAX_LINES, MAX_SECONDS, MIN_SECONDS, Captions, captions_of
from .timeline import Timeline, first_start
from .words import Entry, Phoneme, Word, align

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray

    from ..audio.files import BinaryTarget
    from ..audio.kinds import CaptionKind, Kind

SPOOL_BYTES = 32 << 20
"""How much audio is held in memory; what is more goes to a temporary file."""


class Flush(NamedTuple):
    """The audio of one flush.

    Attributes:
        flush_id: Its number, counted from 1; None for chunks to which the service gives none.
        start: Seconds from the beginning of the audio.
        end: Likewise.
    """

    flush_id: Optional[int]
    start: float
    end: float


class Source(NamedTuple):
    """What a recording asks the context that it is of.

    Attributes:
        context_id: The user's.
        transcripts: Gives the pieces of text that were sent.
        cancel: Cancels it.
        audio_format: Gives the encoding; None where it is none that we know, or nothing was sent.
        check_whole: Raises what keeps so many bytes, and this as the last event, from being the whole.
    """

    context_id: str
    transcripts: Callable[[], Sequence[str]]
    cancel: Callable[[], None]
    audio_format: Callable[[], Optional[RawFormat]]
    check_whole: Callable[[int, Optional[Event]], None]


class _Piece(NamedTuple):
    """A chunk's place in the audio."""

    start: int
    end: int
    flush_id: Optional[int]


class Recording(Closing):
    """An iterator over a context's events, which keeps what it gives; made by ``Context.record``.

    Afterwards there are ``words``, ``captions()``, ``samples()`` and ``save()``, and the service is not asked again.
    All times are seconds from the beginning of the audio, over flushes and contexts that went on, and never go back.
    More than 32 MiB of audio are held in a temporary file, which goes with the recording.

    What gives the whole raises where it is not there: before the end, after ``cancel()``, and where the service
    stopped early. ``part=True`` takes what there is, as after an interruption.

    An event that an interrupt kept from being given is in the recording all the same; and so is, once, an event that
    could not be kept and is given again, since it is kept first.

    Threads: one iterates, and any others may use what was kept meanwhile (on Windows one at a time, for long ones).
    Iterating waits as what it iterates does, all else for the disk alone.
    """

    def __init__(self, events: Callable[[], Iterator[Event]], source: Source) -> None:
        self._begin = events
        self._events: Optional[Iterator[Event]] = None
        self._source = source
        self._spool = Spool(SPOOL_BYTES)
        self._audio_bytes = 0
        self._kept: Optional[Event] = None
        self._last: Optional[Event] = None
        self._marks: list[Union[_Piece, Timestamps, PhonemeTimestampsEvent, FlushDone]] = []
        self._words: tuple[tuple[int, int, int], tuple[tuple[Word, ...], int]] = ((0, 0, 0), ((), 0))

    def __repr__(self) -> str:
        return f"<Recording {self.context_id!r} {self.seconds:.2f} s>"

    def __reduce__(self) -> str:
        raise TypeError("a Recording stays in its process; send what it holds: .audio, .words, .captions()")

    # ---- keeping

    def __iter__(self) -> Recording:
        return self

    def __next__(self) -> Event:
        if self._events is None:
            self._events = self._begin()
        events = self._events
        peek = getattr(events, "peek", None)
        if peek is not None:
            found = peek()
            if isinstance(found, BaseEvent):
                self._keep(found)  # type: ignore[arg-type]  # an event has that base
        event = next(events)
        if event is not self._kept:  # there was no looking, or somebody else took the one that we saw
            self._keep(event)
        return event

    def peek(self) -> Any:
        """Wait for what is next, keep it, and leave it there; for what iterates a recording in its turn."""
        if self._events is None:
            self._events = self._begin()
        peek = getattr(self._events, "peek", None)
        if peek is None:
            raise TypeError("the events of this recording cannot be looked at before they are taken")
        found = peek()
        if isinstance(found, BaseEvent):
            self._keep(found)  # type: ignore[arg-type]  # an event has that base
        return found

    def keep(self, event: Event) -> Event:
        """Keep an event that was received another way, as by ``receive_any``; returns it. The same twice is kept once.

        Raises:
            ValueError: It is another context's.
            OSError: The temporary file cannot be written, and the event is not kept.
        """
        if event.context_id is not None and event.context_id != self.context_id:
            raise ValueError(f"this recording is of context {self.context_id!r}; got an event of {event.context_id!r}")
        self._keep(event)
        return event

    def _keep(self, event: Event) -> None:
        if event is self._kept:
            return
        if isinstance(event, Chunk):
            start = self._audio_bytes
            end = start + len(event.audio)
            self._spool.write(event.audio, start)
            piece = _Piece(start, end, event.flush_id)
            # One step: stores, and then one call of C code; an interrupt finds none of it or all.
            self._kept = self._last = event
            self._audio_bytes = end
            self._marks.append(piece)
        elif isinstance(event, (Timestamps, PhonemeTimestampsEvent, FlushDone)):
            self._kept = self._last = event
            self._marks.append(event)
        elif event.context_id is not None:  # one of the whole connection ends nothing
            self._kept = self._last = event
        else:
            self._kept = event

    def close(self) -> None:
        """Close what is iterated, if it can be: of ``speak`` it cancels the context. What was kept stays. Idempotent.

        Threads: as the ``close`` of what is iterated.
        """
        close = getattr(self._events, "close", None)
        if close is not None:
            close()

    def cancel(self) -> None:
        """Cancel the context, as ``Context.cancel`` does. Threads: any, at any time. Does not wait."""
        self._source.cancel()

    # ---- what was kept

    @property
    def context_id(self) -> str:
        """The context's id."""
        return self._source.context_id

    @property
    def transcripts(self) -> tuple[str, ...]:
        """The pieces of text that were sent until now, in order."""
        return tuple(self._source.transcripts())

    @property
    def transcript(self) -> str:
        """All of them, joined: the text in which the words' places are."""
        return "".join(self._source.transcripts())

    @property
    def audio_format(self) -> Optional[RawFormat]:
        """What its audio is: ``encoding``, and ``sample_rate`` in Hz; None where that is not documented, or not known.

        It is known with the first push, or before that from what ``context()`` was given.
        """
        return self._source.audio_format()

    @property
    def seconds(self) -> float:
        """How much audio was kept until now; 0 where its encoding is none that we know."""
        return self._seconds(self._audio_bytes)

    @property
    def is_whole(self) -> bool:
        """Whether the context has ended with all of its audio, and all of it is here."""
        try:
            self._check_whole(part=False)
        except Exception:  # whatever keeps it from being whole
            return False
        return True

    @property
    def audio(self) -> bytes:
        """The whole audio, in the encoding that was asked for.

        Raises, as do ``samples``, ``save``, ``captions`` and ``plot`` without ``part``:
            ContextStateError: The context has not ended, was cancelled, or was received elsewhere too.
            UnfinishedError: The service ended it before its text was at its end.
        """
        self._check_whole(part=False)
        return self._read()

    def samples(self, *, part: bool = False) -> NDArray[np.float32]:
        """Return the audio as float32 samples, shape (n,), -1 to 1.

        Args:
            part: Whether what there is will do, where it is not the whole.

        Raises: as ``audio``.
        """
        from ..audio.samples import to_samples

        self._check_whole(part=part)
        if not self._audio_bytes:
            return to_samples(b"", "pcm_f32le")
        audio_format = self._known_format()
        return to_samples(self._read()[: self._whole_samples(audio_format)], audio_format.encoding)

    def save(
        self,
        path: Union[str, os.PathLike[str], BinaryTarget],
        *,
        kind: Union[Kind, CaptionKind, None] = None,
        part: bool = False,
    ) -> float:
        """Write the audio, or captions, to a file; return the audio's length in seconds. It may be called again.

        A WAV file keeps the encoding. MP3, Ogg Vorbis (``.ogg``), Ogg Opus (``.opus``) and FLAC (16 bits) need the
        extra ``audio``. For ``.srt``, ``.vtt``, ``.ass``, ``.ssa`` and ``.json`` it writes ``captions()`` as they are
        by default, with the extra ``captions``.

        Args:
            path: Where the file is to be; it appears there when it is whole, in place of one that is there already.
                Or a writable binary file object.
            kind: Such as ``mp3`` or ``srt``; None goes by the path's suffix, and writes WAV where that says nothing.
            part: Whether what there is will do, where it is not the whole.

        Raises:
            OSError: The file cannot be written.
            ImportError: The kind needs an extra, which the error names.
            ValueError: There is no such kind, the suffix is that of one that is not written here, or it does not take
                the sample rate.
            ContextStateError: Also where there is no audio, or for captions no words.
            Others: As ``audio``.
        """
        from ..audio.encoders import save_sound

        if asks_for_captions(path, kind):
            self.captions(part=part).save(path, kind=cast("Optional[CaptionKind]", kind))
            return self.seconds
        self._check_whole(part=part)
        if not self._audio_bytes:
            why = "none has come" if part else "there is no letter or digit in its text"
            raise ContextStateError(f"context {self.context_id!r} has no audio to save: {why}; no file was made")
        audio_format = self._known_format()
        audio_bytes = self._whole_samples(audio_format) if part else self._audio_bytes
        return save_sound(path, kind, audio_format, self._spool.pieces(audio_bytes))

    @property
    def words(self) -> tuple[Word, ...]:
        """The words until now, fitted to the transcript; empty unless ``add_timestamps`` was asked for."""
        return self._alignment()[0]

    @property
    def aligned_to(self) -> int:
        """How much of the transcript, in characters, the words have been found in.

        It is less than the transcript where its end is not spoken yet, and where the service's words stop to fit it,
        as with a number that it spells out; from there on ``text_start`` and ``text_end`` are None.
        """
        return self._alignment()[1]

    @property
    def phonemes(self) -> tuple[Phoneme, ...]:
        """The phonemes until now; empty unless ``add_phoneme_timestamps`` was asked for."""
        return tuple(Phoneme(*each) for each in self._timed(PhonemeTimestampsEvent))

    @property
    def flushes(self) -> tuple[Flush, ...]:
        """The flushes until now that have audio, by the numbers on its chunks."""
        found: list[Flush] = []
        for mark in self._marks:
            if isinstance(mark, _Piece) and mark.end > mark.start:
                start, end = self._seconds(mark.start), self._seconds(mark.end)
                if found and found[-1].flush_id == mark.flush_id:
                    found[-1] = found[-1]._replace(end=end)
                else:
                    found.append(Flush(mark.flush_id, start, end))
        return tuple(found)

    def captions(
        self,
        *,
        max_chars: int = MAX_CHARS,
        max_lines: int = MAX_LINES,
        max_seconds: float = MAX_SECONDS,
        min_seconds: float = MIN_SECONDS,
        part: bool = False,
    ) -> Captions:
        """Return captions, to be saved as ``.srt``, ``.vtt``, ``.ass`` or ``.json``.

        A cue ends with a sentence; one that is too long is cut at its clauses, else in its pauses. The text is the
        user's, without tags.

        Args:
            max_chars: Columns in a line, 2 or more; a Chinese, Japanese or Korean character counts as two.
            max_lines: Lines in a cue.
            max_seconds: How long a cue stays at most.
            min_seconds: How long it stays at least, where the next one does not come sooner. It stays longer where
                there are more than 20 columns to be read in a second, likewise.
            part: Whether what there is will do, where it is not the whole.

        Raises:
            ContextStateError: Also where there is audio and no word: ``add_timestamps=True`` was not asked for.
            ValueError, TypeError: A limit is not valid.
            Others: As ``audio``.
        """
        self._check_whole(part=part)
        words = self.words
        if not words and self._audio_bytes:
            raise ContextStateError(
                f"context {self.context_id!r} has no words for captions: ask for them with add_timestamps=True"
            )
        return captions_of(
            words,
            self.transcript,
            max_chars=max_chars,
            max_lines=max_lines,
            max_seconds=max_seconds,
            min_seconds=min_seconds,
        )

    def plot(self, path: Union[str, os.PathLike[str], BinaryTarget], *, part: bool = False) -> None:
        """Draw the wave, the words below it, its gaps and flushes, into a picture; for those who would rather look.

        Args:
            path: A name that ends in ``.png``, ``.svg`` or ``.pdf``; it appears when it is whole. Or a writable binary
                file object, which gets PNG.
            part: Whether what there is will do, where it is not the whole.

        Raises:
            ImportError: matplotlib is not installed; the extra ``plot`` brings it.
            ValueError: The suffix is none of these.
            OSError: The file cannot be written.
            Others: As ``audio``.
        """
        from .plot import draw

        samples = self.samples(part=part)
        draw(
            path,
            samples,
            self._known_format().sample_rate if len(samples) else 1,
            words=self.words,
            flushes=[flush.start for flush in self.flushes[1:]],
            title=f"context {self.context_id}",
        )

    # ---- inside

    def _check_whole(self, *, part: bool) -> None:
        if not part:
            self._source.check_whole(self._audio_bytes, self._last if isinstance(self._last, Done) else None)

    def _known_format(self) -> RawFormat:
        audio_format = self._source.audio_format()
        if audio_format is None:
            raise ContextStateError(f"the encoding of context {self.context_id!r} is none that we know")
        return audio_format

    def _seconds(self, audio_bytes: int) -> float:
        audio_format = self._source.audio_format()
        return 0.0 if audio_format is None else audio_format.seconds(audio_bytes)

    def _whole_samples(self, audio_format: RawFormat) -> int:
        return self._audio_bytes - self._audio_bytes % audio_format.sample_bytes

    def _read(self) -> bytes:
        return self._spool.read(0, self._audio_bytes)

    def _alignment(self) -> tuple[tuple[Word, ...], int]:
        transcript = self.transcript
        key = (len(self._marks), len(transcript), self._audio_bytes)
        if self._words[0] != key:
            self._words = key, align(transcript, self._timed(Timestamps))
        return self._words[1]

    def _timed(self, kind: type[Event]) -> Iterator[Entry]:
        timeline = Timeline(self._start_of_flush)
        for mark in self._marks:
            if isinstance(mark, kind):
                yield from timeline.feed(mark)

    def _start_of_flush(self, flush_id: int) -> Optional[float]:
        pieces = ((mark.flush_id, mark.start) for mark in self._marks if isinstance(mark, _Piece))
        start = first_start(pieces, flush_id)
        return None if start is None else self._seconds(start)
