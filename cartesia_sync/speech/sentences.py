"""Sentences of a text that comes piece by piece, for contexts that speak each as soon as it is there."""

from __future__ import annotations

import re
from typing import Any, Callable, Optional

from ..extras import missing
from ..protocol.text import TextGate
from ..protocol.words import TAG, has_words

FINISHED_SECONDS = 0.5
"""How long what ends like a sentence waits for more."""
UNFINISHED_SECONDS = 3.0
"""And what does not: as long as the service itself waits where nothing else is asked for."""
LONG_FIRST = 40
"""Characters; a first sentence that is longer is begun at a clause."""

LONGEST = 1000
"""Characters without the end of a sentence; more is cut at a space."""

_TAG = re.compile(rf"<spell\b[^<>]*>.*?</spell\s*>|{TAG}|<<[^<>\s]+>>", re.IGNORECASE | re.DOTALL)
_ENDS = re.compile(
    "[.!?\u2026\u061f\u06d4\u0964\u3002\uff01\uff1f][\"'\u201d\u2019\u00bb)\\]\u300d\u300f\uff09]*\\s*\\Z"
)
_NUMBER_END = re.compile(r"\d\.\Z")
_CLAUSE = re.compile("[,;:\u2014\u060c\u061b]\\s+|[\uff0c\uff1b\uff1a\u3001]")
_MASK = "X"

Segment = Callable[[str, str], "list[str]"]


def load_segment() -> Segment:
    """Return what parts a text of a language into sentences, without losing a character of it.

    Raises:
        ImportError: sentencex is not installed, or is one that loses spaces.
    """
    try:
        import sentencex
    except ImportError as error:
        raise missing("text", "split='sentence' needs sentencex 1 and Python 3.10 or newer", cause=error) from error
    segment: Any = sentencex.segment
    probe = "One.  Two. "
    if "".join(segment("en", probe)) != probe:
        raise missing("text", "split='sentence' needs sentencex 1 and Python 3.10 or newer; an older one loses spaces")
    found: Segment = segment
    return found


class SentenceGate(TextGate):
    """Lets a text out sentence by sentence; what leaves is together what came in.

    A sentence leaves when the next one has begun; the first one as soon as its mark and a space are there, and where it
    is long its first clause. Tags are never parted, nor is what stands in ``<spell>``. What waits may leave after
    ``flush_after`` seconds without another piece.

    Not thread-safe: its owner locks.
    """

    def __init__(self, segment: Segment, language: str = "en") -> None:
        super().__init__()
        self._segment = segment
        self._language = re.split("[-_]", language, maxsplit=1)[0].lower()
        self._buffer = ""  # of what the gate has let out
        self._has_left = False

    def feed_all(self, piece: str) -> list[str]:
        """Take a piece; return the sentences that may be sent now."""
        self._buffer += self.feed(piece)
        sizes = self._sentences()
        if not sizes and not self._has_left:
            sizes = self._early()
        if not sizes and len(self._buffer) > LONGEST:
            sizes = [self._buffer.rfind(" ") + 1 or len(self._buffer)]
        sentences, start = [], 0
        for size in sizes:
            sentences.append(self._buffer[start : start + size])
            start += size
        self._buffer, self._has_left = self._buffer[start:], self._has_left or start > 0
        return sentences

    def _sentences(self) -> list[int]:
        """Return the lengths of the sentences that have ended: all but the last one."""
        sizes: list[int] = []
        start = end = 0
        for part in self._parts(masked(self._buffer)):
            # Blank lines and marks are parts of their own; they leave with what stands before them.
            if has_words(self._buffer[end : end + len(part)]) and has_words(self._buffer[start:end]):
                sizes.append(end - start)
                start = end
            end += len(part)
        return sizes

    def _early(self) -> list[int]:
        """Return the length of the first sentence, where nothing of the next is there; or of its first clause."""
        text = masked(self._buffer)
        if text[-1:].isspace() and _ENDS.search(text) and len(self._parts(text + "Xx.")) > len(self._parts(text)):
            return [len(text)]
        clause = _CLAUSE.search(text, LONG_FIRST)
        return [clause.end()] if clause and clause.end() < len(text) else []

    def _parts(self, text: str) -> list[str]:
        parts = self._segment(self._language, text)
        return parts if "".join(parts) == text else [text]

    @property
    def flush_after(self) -> Optional[float]:
        """Seconds after which ``flush`` may let out what waits; None where nothing does."""
        if not self._buffer.strip():
            return super().flush_after
        is_finished = _ENDS.search(self._buffer) and not _NUMBER_END.search(self._buffer) and not self.holds_a_tag
        return FINISHED_SECONDS if is_finished else UNFINISHED_SECONDS

    def flush(self) -> str:
        """Return all that waits, but for what waits for a word."""
        text, self._buffer = self._buffer + super().flush(), ""
        self._has_left = self._has_left or bool(text)
        return text

    def put_back(self, text: str) -> None:
        """Hold again, in front of all else, what ``flush`` let out and could not leave."""
        self._buffer = text + self._buffer

    def finish(self) -> str:
        """Return the rest, at the end of the text; "" where there was no letter or digit in all of it."""
        text, self._buffer = self._buffer + super().finish(), ""
        return text


def masked(text: str) -> str:
    """Put letters in the place of tags, so that no sentence ends in one; the length stays."""
    return _TAG.sub(lambda found: _MASK * len(found.group()), text)


def sentences_of(text: str, language: str = "en") -> list[str]:
    """Part a whole text into sentences, which together are the text.

    Raises:
        ImportError: As ``load_segment``.
    """
    gate = SentenceGate(load_segment(), language)
    gate._has_left = True  # nothing hurries
    pieces = gate.feed_all(text)
    rest = gate.finish()
    return [*pieces, rest] if rest else pieces
