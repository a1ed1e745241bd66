"""A text that was spoken whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Optional, Union, cast

from ..audio.kinds import asks_for_captions
from ..errors import ContextStateError
from ..protocol.events import Event, PhonemeTimestampsEvent, Timestamps
from ..protocol.formats import RawFormat
from ..protocol.metrics import Metrics
from ..speech.captions import MAX_CHARS, MAX_LINES, MAX_SECONDS, MIN_SECONDS, Captions, captions_of
from ..speech.timeline import Timeline
from ..speech.words import Entry, Phoneme, Word, align
from ..streaming.context import Context

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray

    from ..audio.files import BinaryTarget
    from ..audio.kinds import CaptionKind, Kind


@dataclass(frozen=True)
class Spoken:
    """A text that was spoken whole. It holds no connection, and can be pickled.

    Attributes:
        audio: The whole audio, in the encoding that was asked for; b"" for a text without a letter or digit.
        transcript: The text.
        words: When each word is spoken, and where it stands in the text; empty unless ``add_timestamps`` was asked for.
        phonemes: When each phoneme is spoken; empty unless ``add_phoneme_timestamps`` was asked for.
        metrics: What was measured.
        context_id: The context's id.
        request_id: The service's identifier, or None where it gives none.
        encoding: Of the audio, such as ``pcm_s16le``; None where it is none that we know, or nothing was sent.
        sample_rate: In Hz, or None likewise.
        aligned_to: How much of the text, in characters, the words have been found in; see ``Recording.aligned_to``.
    """

    audio: bytes = field(repr=False)
    transcript: str
    words: tuple[Word, ...] = field(repr=False)
    phonemes: tuple[Phoneme, ...] = field(repr=False)
    metrics: Metrics
    context_id: str
    request_id: Optional[str]
    encoding: Optional[str]
    sample_rate: Optional[int]
    aligned_to: int = field(default=0, repr=False)

    @property
    def seconds(self) -> float:
        """The length of the audio; 0 where its encoding is not one that we know."""
        audio_format = self.audio_format
        return 0.0 if audio_format is None else audio_format.seconds(len(self.audio))

    def samples(self) -> NDArray[np.float32]:
        """Return the audio as float32 samples, shape (n,), -1 to 1.

        Raises:
            ContextStateError: The encoding is none that we know.
        """
        from ..audio.samples import to_samples

        return to_samples(self.audio, self._known_format().encoding if self.audio else "pcm_f32le")

    def save(
        self, path: Union[str, os.PathLike[str], BinaryTarget], *, kind: Union[Kind, CaptionKind, None] = None
    ) -> float:
        """Write the audio, or captions, to a file; return the audio's length in seconds.

        As ``Recording.save``: WAV in its encoding, MP3, Ogg Vorbis, Ogg Opus and FLAC with the extra ``audio``, and
        ``captions()`` for ``.srt``, ``.vtt``, ``.ass``, ``.ssa`` and ``.json`` with the extra ``captions``.

        Args:
            path: Where the file is to be; it appears there when it is whole, in place of one that is there already.
                Or a writable binary file object.
            kind: Such as ``mp3`` or ``srt``; None goes by the path's suffix, and writes WAV where that says nothing.

        Raises:
            OSError: The file cannot be written.
            ImportError: The kind needs an extra, which the error names.
            ValueError: There is no such kind, the suffix is that of one that is not written here, or it does not take
                the sample rate.
            ContextStateError: There is no audio, or its encoding is none that we know; or for captions no words.

        Threads: any. Waits for the disk alone.
        """
        from ..audio.encoders import save_sound

        if asks_for_captions(path, kind):
            self.captions().save(path, kind=cast("Optional[CaptionKind]", kind))
            return self.seconds
        if not self.audio:
            raise ContextStateError(
                "there is no audio to save, since there is no letter or digit in the text; no file was made"
            )
        return save_sound(path, kind, self._known_format(), [self.audio])

    def captions(
        self,
        *,
        max_chars: int = MAX_CHARS,
        max_lines: int = MAX_LINES,
        max_seconds: float = MAX_SECONDS,
        min_seconds: float = MIN_SECONDS,
    ) -> Captions:
        """Return captions, to be saved as ``.srt``, ``.vtt``, ``.ass`` or ``.json``; see ``Recording.captions``.

        Raises:
            ContextStateError: There is audio and no word: ``add_timestamps=True`` was not asked for.
            ValueError, TypeError: A limit is not valid.
        """
        if not self.words and self.audio:
            raise ContextStateError("there are no words for captions: ask for them with add_timestamps=True")
        return captions_of(
            self.words,
            self.transcript,
            max_chars=max_chars,
            max_lines=max_lines,
            max_seconds=max_seconds,
            min_seconds=min_seconds,
        )

    def plot(self, path: Union[str, os.PathLike[str], BinaryTarget]) -> None:
        """Draw the wave, the words below it and its gaps into a picture; see ``Recording.plot``.

        Raises:
            ImportError: matplotlib is not installed; the extra ``plot`` brings it.
            ValueError: The suffix is none of a picture.
            OSError: The file cannot be written.
            ContextStateError: The encoding is none that we know.
        """
        from ..speech.plot import draw

        samples = self.samples()
        draw(path, samples, self.sample_rate or 1, words=self.words, title=f"context {self.context_id}")

    @property
    def audio_format(self) -> Optional[RawFormat]:
        """Both of them; None where the encoding is none that we know, or nothing was sent."""
        if self.encoding is None or self.sample_rate is None:
            return None
        return RawFormat(self.encoding, self.sample_rate)

    def _known_format(self) -> RawFormat:
        audio_format = self.audio_format
        if audio_format is None:
            raise ContextStateError("the encoding of this audio is none that we know; its bytes are in .audio")
        return audio_format


def _unknown(flush_id: int) -> None:
    """Where a flush begins: there is one alone."""


def spoken_of(context: Context, transcript: str, audio: bytes, events: Iterable[Event]) -> Spoken:
    """Put together what has been received of a context."""
    audio_format = context._channel.audio_format
    word_line, phoneme_line = Timeline(_unknown), Timeline(_unknown)
    entries: list[Entry] = []
    phonemes: list[Phoneme] = []
    for event in events:
        if isinstance(event, Timestamps):
            entries += word_line.feed(event)
        elif isinstance(event, PhonemeTimestampsEvent):
            phonemes += map(Phoneme._make, phoneme_line.feed(event))
    words, aligned_to = align(transcript, entries)
    return Spoken(
        audio=audio,
        transcript=transcript,
        words=words,
        phonemes=tuple(phonemes),
        metrics=context.metrics,
        context_id=context.context_id,
        request_id=context.request_id,
        encoding=None if audio_format is None else audio_format.encoding,
        sample_rate=None if audio_format is None else audio_format.sample_rate,
        aligned_to=aligned_to,
    )
