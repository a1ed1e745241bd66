"""Whether a text has anything to be spoken."""

from __future__ import annotations

import re

TAG = r"</?(?:break|speed|volume|emotion|spell)\b[^<>]*>|\[laughter\]"
"""A pattern for one whole tag, in any case of letters; phonemes, ``<<p|h>>``, are none."""

_TAGS = re.compile(TAG, re.IGNORECASE)
_WORD = re.compile(r"[^\W_]")


def has_words(text: str) -> bool:
    """Whether there is a letter or a digit, of any script, outside of the service's tags.

    A text without one is spoken as silence, or not at all. Phonemes in ``<<...>>`` are a word, written by its sounds.
    """
    return _WORD.search(_TAGS.sub(" ", text)) is not None
