"""What of a text may be sent now, and what waits for more: no tag is parted, and no text begins without a word.

The service refuses a first transcript without a letter or digit, and wants each tag whole in one request (docs page
``sonic-3/ssml-tags``). A language model's answer comes in pieces of any kind.
"""

from __future__ import annotations

import re
from typing import Optional

from .words import has_words

TAG_SECONDS = 0.5
"""How long the beginning of a tag waits for its rest."""


def _beginnings(word: str) -> str:
    """Return a pattern for the word and for each of its beginnings, the empty one included."""
    pattern = ""
    for letter in reversed(word):
        pattern = f"(?:{letter}{pattern})?"
    return pattern


_ATTRIBUTE = r'\s+[a-z]+\s*=\s*"[^"<>]*"'
_UNFINISHED_ATTRIBUTE = r'\s+(?:[a-z]+(?:\s*(?:=\s*(?:"[^"<>]*)?)?)?)?'
_UNFINISHED = [
    # <break time="1s"/>, <speed ratio="1.2"/>, <volume ratio="0.8"/>, <emotion value="calm"/>
    *(rf"<{_beginnings(name)}" for name in ("break", "speed", "volume", "emotion")),
    rf"<(?:break|speed|volume|emotion)(?:{_ATTRIBUTE})*(?:{_UNFINISHED_ATTRIBUTE}|\s*/?)",
    # <spell>...</spell>: all of it, so that what is spelled is one token
    rf"<{_beginnings('spell')}",
    r"<spell>(?:(?!</spell>).)*",
    rf"\[{_beginnings('laughter')}",
    # <<p|h>>: phonemes, of which none has a space
    r"<<[^<>\s]*>?",
]
_MAY_BECOME_A_TAG = re.compile(rf"(?:{'|'.join(_UNFINISHED)})\Z", re.IGNORECASE | re.DOTALL)
_HIGH_SURROGATE = re.compile("[\ud800-\udbff]\\Z")


class TextGate:
    """Takes a text piece by piece, and lets out what may be sent.

    Held back are: all that comes before the first letter or digit, which leaves in front of it, unchanged; an end that
    may still become a tag, or half of a pair of surrogates. What leaves and what is held is together what came in, in
    order; halves of a pair are joined, and a lone one becomes U+FFFD.

    Not thread-safe: its owner locks.
    """

    def __init__(self) -> None:
        self._held = ""
        self._has_begun = False

    def feed(self, piece: str) -> str:
        """Take a piece; return what may be sent now, "" where that is nothing."""
        self._held += piece
        size = self._start_of_what_waits()
        self._has_begun = self._has_begun or has_words(self._held[:size])
        return self._let_out(size) if self._has_begun else ""

    @property
    def holds_a_tag(self) -> bool:
        """Whether something waits that ``flush`` would let out."""
        return self._size_without_half_a_pair() > 0 and (self._has_begun or has_words(self._held))

    @property
    def flush_after(self) -> Optional[float]:
        """Seconds without another piece after which ``flush`` is to be called; None where nothing waits for that."""
        return TAG_SECONDS if self.holds_a_tag else None

    def feed_all(self, piece: str) -> list[str]:
        """Take a piece; return what may be sent now, each by itself."""
        text = self.feed(piece)
        return [text] if text else []

    def flush(self) -> str:
        """Return what waits for more of a tag, since nothing has come for a while; not what waits for a word."""
        if not self.holds_a_tag:
            return ""
        self._has_begun = True
        return self._let_out(self._size_without_half_a_pair())

    def put_back(self, text: str) -> None:
        """Hold again, in front of all else, what ``flush`` let out and could not leave."""
        self._held = text + self._held

    def finish(self) -> str:
        """Return the rest, at the end of the text; "" where there was no letter or digit in all of it."""
        rest, self._held = self._held, ""
        return whole_pairs(rest) if self._has_begun or has_words(rest) else ""

    def _start_of_what_waits(self) -> int:
        found = _MAY_BECOME_A_TAG.search(self._held)
        return found.start() if found else self._size_without_half_a_pair()

    def _size_without_half_a_pair(self) -> int:
        found = _HIGH_SURROGATE.search(self._held)
        return found.start() if found else len(self._held)

    def _let_out(self, size: int) -> str:
        text, self._held = self._held[:size], self._held[size:]
        return whole_pairs(text)


def whole_pairs(text: str) -> str:
    """Join the halves of surrogate pairs; a lone one becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
