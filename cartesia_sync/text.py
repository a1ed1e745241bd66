"""The service's tags, made of values: to be put into a transcript, with ``+`` or in an f-string.

They are those of the docs pages ``sonic-3/ssml-tags`` and ``capability-guides/phonemes``, for sonic-3 and newer. No
string of a user's can become a tag by way of them; ``plain`` is for the strings beside them::

    context.push(f"Hello, {plain(name)}. {pause(0.5)} Your code is {spell(code)}.")

Raises, all of them:
    TypeError, ValueError: The value is none that can stand in a tag; the error says what was expected.

Threads: any. They do not wait.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Union

__all__ = ["emotion", "pause", "phonemes", "plain", "speed", "spell", "volume"]

_WOULD_BE_A_TAG = re.compile(
    r"<(?=\s*/?\s*(?:break|speed|volume|emotion|spell)\b)|<(?=<)|(?<=<)<|\[(?=\s*laughter\s*\])"
    r"|<(?=\s*/?\s*[a-z]{0,7}\Z)|\[(?=\s*[a-z]{0,8}\Z)",  # the text that is put behind it may be the rest
    re.IGNORECASE,
)
_HARMLESS = {"<": "\u2039", "[": "("}


def plain(text: str) -> str:
    """Return a text that is read as it stands: the brackets of what would be a tag are exchanged.

    The service documents no escape. So ``<`` becomes U+2039, a quotation mark, where it begins a tag or phonemes, and
    the bracket of ``[laughter]`` a round one; all else stays, as ``3 < 4`` does. It has as many characters as before.
    """
    return _WOULD_BE_A_TAG.sub(lambda found: _HARMLESS[found.group()], _text("text", text))


def pause(seconds: float) -> str:
    """Return a tag for silence of so many seconds; above 0."""
    milliseconds = round(_positive("a pause in seconds", seconds) * 1000)
    if milliseconds < 1:
        raise ValueError(f"a pause is at least 0.001 s; got {seconds!r}")
    return f'<break time="{milliseconds}ms"/>' if milliseconds % 1000 else f'<break time="{milliseconds // 1000}s"/>'


def spell(text: str) -> str:
    """Return a text to be read character by character, as a code or a number is."""
    content = plain(text)
    if not any(map(str.isalnum, content)):
        raise ValueError(f"spell() takes a text with a letter or digit; got {text!r}")
    return f"<spell>{content}</spell>"


def phonemes(sounds: Union[str, Iterable[str]]) -> str:
    """Return a word written by its sounds.

    Args:
        sounds: IPA, parted by bars (``"k|ɑ|ɹ"``), or one sound each (``["k", "ɑ", "ɹ"]``). A stress mark stands before
            its vowel.
    """
    parts = sounds.split("|") if isinstance(sounds, str) else [_text("a phoneme", each) for each in sounds]
    if not parts or any(not part or re.search(r"[<>|\s]", part) for part in parts):
        raise ValueError(f"phonemes are IPA signs parted by bars, without spaces or brackets; got {sounds!r}")
    return f"<<{'|'.join(parts)}>>"


def emotion(name: str) -> str:
    """Return a tag for how what follows is to be said, such as ``calm`` or ``excited``."""
    if not re.fullmatch(r"[^\W\d_]+(?:[ /-][^\W\d_]+)*", _text("an emotion", name)):
        raise ValueError(f"an emotion is a word such as 'calm'; got {name!r}")
    return f'<emotion value="{name}"/>'


def speed(ratio: float) -> str:
    """Return a tag for the speed of what follows: 1 is normal; the service documents 0.6 to 1.5."""
    return f'<speed ratio="{_number(_positive("a speed", ratio))}"/>'


def volume(ratio: float) -> str:
    """Return a tag for the volume of what follows: 1 is normal; the service documents 0.5 to 2."""
    return f'<volume ratio="{_number(_positive("a volume", ratio))}"/>'


def _text(what: str, value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is a str; got {type(value).__name__}")
    return value


def _positive(what: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{what} is a number; got {type(value).__name__}")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{what} is above 0; got {value!r}")
    return value


def _number(value: float) -> str:
    """Write a number without an exponent, which the tags do not have."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    if text == "0":
        raise ValueError(f"a ratio is at least 0.001; got {value!r}")
    return text
