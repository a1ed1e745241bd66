"""A text that was spoken whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Optional, Union

from ..errors import ContextStateError
from ..protocol.events import Event, PhonemeTimestampsEvent, Timestamps
from ..protocol.formats import RawFormat
from ..protocol.metrics import Metrics
from ..streaming.context import Context

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray


class Word(NamedTuple):
    """When a word is spoken: seconds from the beginning of the audio."""

    word: str
    start: float
    end: float


class Phoneme(NamedTuple):
    """When a phoneme (IPA) is spoken: seconds from the beginning of the audio."""

    phoneme: str
    start: float
    end: float


@dataclass(frozen=True)
class Spoken:
    """A text that was spoken whole. It holds no connection, and can be pickled.

    Attributes:
        audio: The whole audio, in the encoding that was asked for; b"" for a text without a letter or digit.
        transcript: The text.
        words: When each word is spoken; empty unless ``add_timestamps`` was asked for.
        phonemes: When each phoneme is spoken; empty unless ``add_phoneme_timestamps`` was asked for.
        metrics: What was measured.
        context_id: The context's id.
        request_id: The service's identifier, or None where it gives none.
        encoding: Of the audio, such as ``pcm_s16le``; None where it is none that we know, or nothing was sent.
        sample_rate: In Hz, or None likewise.
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

    @property
    def seconds(self) -> float:
        """The length of the audio; 0 where its encoding is not one that we know."""
        audio_format = self._format()
        return 0.0 if audio_format is None else audio_format.seconds(len(self.audio))

    def samples(self) -> NDArray[np.float32]:
        """Return the audio as float32 samples, shape (n,), -1 to 1.

        Raises:
            ContextStateError: The encoding is none that we know.
        """
        from ..audio.samples import to_samples

        return to_samples(self.audio, self._known_format().encoding if self.audio else "pcm_f32le")

    def save(self, path: Union[str, os.PathLike[str]]) -> float:
        """Write the audio to a WAV file, in its encoding; return its length in seconds.

        Args:
            path: Where the file is to be; it appears there when it is whole, in place of one that is there already.

        Raises:
            OSError: The file cannot be written.
            ContextStateError: There is no audio, or its encoding is none that we know.

        Threads: any. Waits for the disk alone.
        """
        from ..audio.wav import WavWriter

        if not self.audio:
            raise ContextStateError(
                "there is no audio to save, since there is no letter or digit in the text; no file was made"
            )
        audio_format = self._known_format()
        with WavWriter(path) as wav:
            wav.format = audio_format
            wav.write(self.audio)
        return wav.seconds

    def _format(self) -> Optional[RawFormat]:
        if self.encoding is None or self.sample_rate is None:
            return None
        return RawFormat(self.encoding, self.sample_rate)

    def _known_format(self) -> RawFormat:
        audio_format = self._format()
        if audio_format is None:
            raise ContextStateError("the encoding of this audio is none that we know; its bytes are in .audio")
        return audio_format


def spoken_of(context: Context, transcript: str, audio: bytes, events: Iterable[Event]) -> Spoken:
    """Put together what has been received of a context."""
    words: list[Word] = []
    phonemes: list[Phoneme] = []
    for event in events:
        if isinstance(event, Timestamps) and event.word_timestamps is not None:
            times = event.word_timestamps
            words += map(Word, times.words, times.start, times.end)
        elif isinstance(event, PhonemeTimestampsEvent) and event.phoneme_timestamps is not None:
            sounds = event.phoneme_timestamps
            phonemes += map(Phoneme, sounds.phonemes, sounds.start, sounds.end)
    audio_format = context._channel.audio_format
    return Spoken(
        audio=audio,
        transcript=transcript,
        words=tuple(words),
        phonemes=tuple(phonemes),
        metrics=context.metrics,
        context_id=context.context_id,
        request_id=context.request_id,
        encoding=None if audio_format is None else audio_format.encoding,
        sample_rate=None if audio_format is None else audio_format.sample_rate,
    )
