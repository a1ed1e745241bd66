"""What one session hears: its audio, the turns in it, and their words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from ..voice.timing import Timed
from . import analysis
from .memory import Memory
from .sphinx import Recogniser

__all__ = ["Ear", "Heard", "Script"]

HELD_BACK_SECONDS = 1.0
"""The service keeps the last second of audio to itself until it is told that none follows."""

_BEFORE_TURN_SECONDS = 0.4


class Heard(NamedTuple):
    """Some text with its own spaces, how much audio it was in, and the times of its words, where they are known."""

    text: str
    seconds: float
    words: list[Timed]


class Script:
    """The words that a test gives, one text for each utterance; empty ones when they are used up."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts: Iterator[str] = iter(texts)

    def next(self) -> str:
        """Return the next text."""
        return next(self._texts, "")


class Ear:
    """Hears the audio of one session.

    Args:
        memory: What the server has spoken.
        encoding: Of the audio, one of ``analysis.ENCODINGS``.
        rate_hz: Its sample rate.
        script: The words that a test gives in place of what is heard.
        recogniser: What hears that which the memory does not know.

    Threads: one at a time.
    """

    def __init__(
        self,
        memory: Memory,
        encoding: str,
        rate_hz: int,
        *,
        script: Optional[Script] = None,
        recogniser: Optional[Recogniser] = None,
    ) -> None:
        self._memory = memory
        self._encoding = encoding
        self._rate_hz = rate_hz
        self._script = script
        self._recogniser = recogniser
        self._rest = b""  # of a sample
        self._audio: list[bytes] = []  # of what is not final yet
        self._bytes = 0
        self._begins_at = 0  # bytes since the session's beginning
        self._words: list[Timed] = []  # of the turn, that were told and are not taken back
        self._scripted: Optional[str] = None  # of the turn
        self._has_told = False  # anything at all, so that the next text begins with a space

    @property
    def seconds(self) -> float:
        """How much audio has come that is not final yet."""
        return self._seconds(self._bytes)

    def feed(self, audio: bytes) -> list[bool]:
        """Take some audio; return for each 10 ms of it whether anything is heard."""
        audio = self._rest + audio
        whole = len(audio) - len(audio) % self._frame_bytes
        audio, self._rest = audio[:whole], audio[whole:]
        self._audio.append(audio)
        self._bytes += len(audio)
        return analysis.is_loud(analysis.decode(audio, self._encoding), self._rate_hz)

    def forget_silence(self) -> None:
        """Keep only the end of what has come: there was no turn in it."""
        keep = round(_BEFORE_TURN_SECONDS * self._rate_hz) * analysis.ENCODINGS[self._encoding]
        if self._bytes > 2 * keep:
            audio = b"".join(self._audio)
            self._begins_at += len(audio) - keep
            self._audio, self._bytes = [audio[-keep:]], keep

    def preview(self, *, is_held_back: bool) -> str:
        """Return what was heard until now of what is not final; what was told is not taken back."""
        if self._script is not None:
            if self._scripted is None:
                self._scripted = self._script.next()
            if not is_held_back:
                return self._spaced(self._scripted)
            return self._spaced(" ".join(self._scripted.split()[: int(self.seconds / HELD_BACK_SECONDS)]))
        self._look(self.seconds - HELD_BACK_SECONDS if is_held_back else None)
        return self._spaced(" ".join(word.text for word in self._words))

    def final(self) -> Heard:
        """Return all that was heard of what is not final, and begin anew after it."""
        self._take_rest()
        if self._script is not None:
            text = self._scripted if self._scripted is not None else self._script.next() if self._bytes else ""
            words: list[Timed] = []
        else:
            self._look(None)
            words, text = self._words, " ".join(word.text for word in self._words)
            if not words and self._recogniser is not None and self._bytes:
                samples = analysis.decode(b"".join(self._audio), self._encoding)
                words = self._recogniser.recognise(samples, self._rate_hz)
                text = " ".join(word.text for word in words)
        begin = self._seconds(self._begins_at)
        heard = Heard(self._spaced(text), self.seconds, [word.later(begin) for word in words])
        self._has_told = self._has_told or bool(text)
        self._begins_at += self._bytes
        self._audio, self._bytes, self._words, self._scripted = [], 0, [], None
        return heard

    def _spaced(self, text: str) -> str:
        return f" {text}" if text and self._has_told else text

    def _take_rest(self) -> None:
        if self._rest:
            self._audio.append(self._rest)
            self._bytes += len(self._rest)
            self._rest = b""

    def _look(self, until: Optional[float]) -> None:
        """Add the words that have ended by then, in seconds of what is not final yet."""
        samples = analysis.decode(b"".join(self._audio), self._encoding)
        told = self._words[-1].end - 0.02 if self._words else -1.0
        for word in self._memory.recognise(samples, self._rate_hz):
            if word.start >= told and (until is None or word.end <= until):
                self._words.append(word)

    @property
    def _frame_bytes(self) -> int:
        return analysis.ENCODINGS[self._encoding]

    def _seconds(self, count: int) -> float:
        return count / self._frame_bytes / self._rate_hz
