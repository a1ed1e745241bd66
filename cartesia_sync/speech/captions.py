"""Words into captions: where they are cut, how long they stay, and the files that players read."""

from __future__ import annotations

import bisect
import functools
import io
import itertools
import math
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

from ..audio.files import WholeFile
from ..audio.kinds import CAPTIONS, kind_among
from ..extras import missing
from .words import Word

if TYPE_CHECKING:
    from ..audio.files import BinaryTarget
    from ..audio.kinds import CaptionKind

MAX_CHARS, MAX_LINES, MAX_SECONDS, MIN_SECONDS = 42, 2, 7.0, 5 / 6
MAX_SPEED = 20.0
"""Columns a second that are easily read; a wide character counts as two."""
LONG_PAUSE = 1.0
"""Seconds of silence which no cue goes over."""
_SHORT_PAUSE = 0.25

_SENTENCE_END = re.compile("[.!?\u2026\u203d\u061f\u06d4\u0964\u0965\u3002\uff01\uff1f\uff61][\\W_]*\\Z")
_CLAUSE_END = re.compile("[,;:\u2013\u2014\u060c\u061b\u3001\uff0c\uff1b\uff1a)\\]\u00bb\u201d][\\W_]*\\Z")
_NOT_FIRST = frozenset(
    "\u3002\uff01\uff1f\u3001\uff0c\uff1b\uff1a\uff09\u300d\u300f\u3011\u201d\u2019\u2026\u30fc\uff5e"
)
"""Signs that no line begins with, where a text has no spaces."""


class Cue(NamedTuple):
    """What is shown at one time.

    Attributes:
        start: Seconds from the beginning of the audio.
        end: Likewise.
        text: One line or more, parted by newlines.
    """

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Captions:
    """Cues in order, of which no two overlap; a sequence.

    Threads: any; nothing in it changes.
    """

    cues: tuple[Cue, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.cues)

    def __iter__(self) -> Iterator[Cue]:
        return iter(self.cues)

    def __getitem__(self, index: int) -> Cue:
        return self.cues[index]

    def save(self, path: Union[str, os.PathLike[str], BinaryTarget], *, kind: Optional[CaptionKind] = None) -> None:
        """Write them to a file: ``.srt``, ``.vtt``, ``.ass``, ``.ssa`` or ``.json`` (that of pysubs2), in UTF-8.

        Signs that would be a player's commands are exchanged for others that look like them: braces for brackets,
        and in ``.srt`` the ``<`` of what would be a tag.

        Args:
            path: Where the file is to be; it appears there when it is whole, in place of one that is there already.
                Or a writable binary file object.
            kind: ``srt``, ``vtt``, ``ass``, ``ssa`` or ``json``; None goes by the path's suffix.

        Raises:
            ValueError: The suffix or the kind is none of these.
            ImportError: pysubs2 is not installed; the extra ``captions`` brings it.
            OSError: The file cannot be written.

        Threads: any. Waits for the disk alone.
        """
        content = self.content(kind_of(path) if kind is None else kind)
        with WholeFile(path) as file:
            file.write(content.encode())

    def content(self, kind: str) -> str:
        """Return what ``save`` writes for a kind of file: ``srt``, ``vtt``, ``ass``, ``ssa`` or ``json``.

        Raises:
            ValueError, ImportError: As ``save``.
        """
        if kind not in CAPTIONS.values():
            raise ValueError(f"captions are of the kind {', '.join(CAPTIONS.values())}; got {kind!r}")
        pysubs2 = load_pysubs2()
        subtitles = pysubs2.SSAFile()
        for cue in self.cues:
            event = pysubs2.SSAEvent(start=round(cue.start * 1000), end=round(cue.end * 1000))
            event.plaintext = _harmless(cue.text, kind)
            subtitles.append(event)
        text = io.StringIO()
        subtitles.to_file(text, kind)
        return text.getvalue()


def kind_of(path: object) -> CaptionKind:
    """Return the kind of caption file that a path asks for by its suffix.

    Raises:
        ValueError: None of them.
    """
    return kind_among(CAPTIONS, path, "captions are written to")


def load_pysubs2() -> Any:
    """Return the library.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import pysubs2
    except ImportError as error:
        raise missing("captions", "captions in files need pysubs2", cause=error) from error
    return pysubs2


def captions_of(
    words: Sequence[Word],
    transcript: str = "",
    *,
    max_chars: int = MAX_CHARS,
    max_lines: int = MAX_LINES,
    max_seconds: float = MAX_SECONDS,
    min_seconds: float = MIN_SECONDS,
) -> Captions:
    """Cut words into cues.

    A cue ends at the end of a sentence; a sentence that is too long for one is cut at its clauses, else in its pauses,
    else where the parts are of like size. A sentence that is too short to be read, or of one word, stands with the one
    beside it. Cues stay on for as long as reading takes, where nothing else is said by then.

    Args:
        words: In the order of time.
        transcript: In which the words' places are; the spaces between them are taken from it.
        max_chars: Columns in a line, 2 or more; Chinese, Japanese and Korean characters count as two, accents as none.
        max_lines: Lines in a cue.
        max_seconds: How long a cue may stay.
        min_seconds: How long it stays at least, where the next one does not come sooner.

    Raises:
        ValueError, TypeError: A limit is not valid; the error names it.
    """
    _check_limits(max_chars, max_lines, max_seconds, min_seconds)
    units = _units_of(words, transcript, max_chars)
    if not units:
        return Captions(())
    layout = _Layout(units, max_chars, max_lines, max_seconds)
    spans: list[tuple[int, int]] = []
    for first, last in layout.sentences():
        spans += layout.parts(first, last)
    spans = layout.merged(spans, min_seconds)
    cues = []
    for index, (first, last) in enumerate(spans):
        start, end = units[first].start, units[last - 1].end
        following = units[spans[index + 1][0]].start if index + 1 < len(spans) else math.inf
        wanted = max(end, start + min_seconds, start + layout.width(first, last) / MAX_SPEED)
        cues.append(Cue(start, max(start, min(wanted, following, start + max_seconds)), layout.text(first, last)))
    return Captions(tuple(cues))


def _check_limits(max_chars: int, max_lines: int, max_seconds: float, min_seconds: float) -> None:
    for name, value, least in (("max_chars", max_chars, 2), ("max_lines", max_lines, 1)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} is a whole number; got {value!r}")
        if value < least:
            raise ValueError(f"{name} is {least} or more; got {value}")
    for name, seconds in (("max_seconds", max_seconds), ("min_seconds", min_seconds)):
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError(f"{name} is a number of seconds; got {seconds!r}")
        if not (math.isfinite(seconds) and seconds >= 0) or (name == "max_seconds" and not seconds):
            raise ValueError(f"{name} is a number of seconds above 0; got {seconds!r}")
    if min_seconds > max_seconds:
        raise ValueError(f"min_seconds is at most max_seconds; got {min_seconds!r} and {max_seconds!r}")


# ---- what is never cut


class _Unit(NamedTuple):
    text: str
    start: float
    end: float
    space: str  # in front of it: "", " ", or a newline where a paragraph begins


def _units_of(words: Sequence[Word], transcript: str, max_chars: int) -> list[_Unit]:
    units: list[_Unit] = []
    before: Optional[Word] = None
    for word in words:
        text = " ".join(word.text.split())
        if not text:
            continue
        space = "" if before is None else _space_between(before, word, transcript)
        units += _split(_Unit(text, word.start, max(word.start, word.end), space), max_chars)
        before = word
    return units


def _space_between(before: Word, word: Word, transcript: str) -> str:
    if before.text_end is not None and word.text_start is not None:
        gap = transcript[before.text_end : word.text_start]
        if re.search(r"\n[^\S\n]*\n", gap):
            return "\n"
        return " " if gap else ""
    return "" if _is_wide(before.text[-1]) and _is_wide(word.text[0]) else " "


def _split(unit: _Unit, max_chars: int) -> list[_Unit]:
    """Part what is too long for a line, and texts without spaces at each character where a line may begin."""
    if len(unit.text) <= max_chars and unit.text.isascii():
        return [unit]
    pieces: list[str] = []
    width = 0
    for character in unit.text:
        columns = _columns(character)
        joins = not pieces or columns == 0 or character in _NOT_FIRST
        if not joins and (_is_wide(character) or _is_wide(pieces[-1][-1])):
            joins = pieces[-1][-1] in "\u300c\u300e\uff08\u3010\u201c\u2018"
        elif not joins:
            joins = width + columns <= max_chars
        if width + columns > max_chars and pieces and columns:
            joins = False
        if joins and pieces:
            pieces[-1] += character
            width += columns
        else:
            pieces.append(character)
            width = columns
    if len(pieces) == 1:
        return [unit]
    length, at = sum(map(len, pieces)), 0
    found: list[_Unit] = []
    for piece in pieces:
        start = unit.start + (unit.end - unit.start) * at / length
        at += len(piece)
        end = unit.start + (unit.end - unit.start) * at / length
        found.append(_Unit(piece, start, end, unit.space if not found else ""))
    return found


@functools.lru_cache(maxsize=4096)
def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _is_wide(character: str) -> bool:
    """Whether it is of a script without spaces, as far as the columns tell; Korean has them in the transcript."""
    return _columns(character) == 2


# ---- where it is cut


class _Layout:
    """Cues as spans of units: (first, one after the last)."""

    def __init__(self, units: Sequence[_Unit], max_chars: int, max_lines: int, max_seconds: float) -> None:
        self._units = units
        self._max_chars, self._max_lines, self._max_seconds = max_chars, max_lines, max_seconds
        widths = [sum(map(_columns, unit.text)) for unit in units]
        spaces = [1 if unit.space else 0 for unit in units]
        # The columns up to the end of each unit, from the beginning of the first.
        self._ends = [0, *itertools.accumulate(width + space for width, space in zip(widths, spaces))]
        self._spaces = spaces
        self._costs = [self._cut_cost(index) for index in range(len(units))]

    def width(self, first: int, last: int) -> int:
        """Return the columns of a span in one line."""
        return self._ends[last] - self._ends[first] - self._spaces[first]

    def sentences(self) -> Iterator[tuple[int, int]]:
        """Yield the spans that end with a sentence, a paragraph or a long pause."""
        units, first = self._units, 0
        for index, unit in enumerate(units):
            last = index + 1
            following = units[last] if last < len(units) else None
            if following is None or _is_end(unit, following):
                yield first, last
                first = last

    def _cut_cost(self, index: int) -> float:
        """Return how bad it is to end a cue behind a unit."""
        units = self._units
        if index + 1 == len(units) or ends_clause(units[index].text, units[index + 1].text):
            return 0.0
        return 40.0 if units[index + 1].start - units[index].end >= _SHORT_PAUSE else 100.0

    def fits(self, first: int, last: int) -> bool:
        """Whether a span can be one cue."""
        units = self._units
        if last - first > 1 and units[last - 1].end - units[first].start > self._max_seconds:
            return False
        width = self.width(first, last)
        if width <= self._max_chars:
            return True
        return width <= self._max_chars * self._max_lines + self._max_lines and (
            len(self._lines(first, last, self._max_chars, self._max_lines + 1)) <= self._max_lines
        )

    def _lines(self, first: int, last: int, columns: int, most: int) -> list[int]:
        """Fill lines of so many columns, the first ones first; return where each ends, of at most so many."""
        ends: list[int] = []
        while first < last and len(ends) < most:
            room = self._ends[first] + self._spaces[first] + columns
            first = max(min(bisect.bisect_right(self._ends, room, first + 1, last + 1) - 1, last), first + 1)
            ends.append(first)
        return ends

    def parts(self, first: int, last: int) -> list[tuple[int, int]]:
        """Cut a sentence into cues: as few and as good ones as there are."""
        if self.fits(first, last):
            return [(first, last)]
        capacity = self._max_chars * self._max_lines
        best: list[float] = [0.0]
        cuts: list[int] = [first]
        for end in range(first + 1, last + 1):
            least, chosen = math.inf, end - 1
            for start in range(end - 1, first - 1, -1):
                if not self.fits(start, end):
                    break
                cost = best[start - first] + 60.0 + self._shape_cost(start, end, capacity)
                if cost < least:
                    least, chosen = cost, start
            best.append(least + (self._costs[end - 1] if end < last else 0.0))
            cuts.append(chosen)
        spans = []
        end = last
        while end > first:
            start = cuts[end - first]
            spans.append((start, end))
            end = start
        return spans[::-1]

    def _shape_cost(self, start: int, end: int, capacity: int) -> float:
        width = self.width(start, end)
        cost = 80.0 * (1.0 - width / capacity) ** 2
        if end - start == 1 and width < self._max_chars // 2:
            cost += 300.0  # an orphan
        return cost

    def merged(self, spans: list[tuple[int, int]], min_seconds: float) -> list[tuple[int, int]]:
        """Put what is too short to be read, or one word, to what stands beside it, where there is room."""
        found: list[tuple[int, int]] = []
        for index, span in enumerate(spans):
            is_last = index + 1 == len(spans)
            if found and (
                self._is_short(found[-1], span, min_seconds) or (is_last and self._is_little(span, min_seconds))
            ):
                joined = (found[-1][0], span[1])
                if self._are_close(found[-1], span) and self.fits(*joined):
                    found[-1] = joined
                    continue
            found.append(span)
        return found

    def _is_short(self, span: tuple[int, int], following: tuple[int, int], min_seconds: float) -> bool:
        """Whether a cue would be gone before it is read: it is short, and the next one comes soon."""
        return self._is_little(span, min_seconds) and (
            self._units[following[0]].start - self._units[span[0]].start < max(min_seconds, LONG_PAUSE)
            or span[1] - span[0] == 1
        )

    def _is_little(self, span: tuple[int, int], min_seconds: float) -> bool:
        first, last = span
        seconds = self._units[last - 1].end - self._units[first].start
        return seconds < min_seconds or (last - first == 1 and self.width(first, last) < self._max_chars // 2)

    def _are_close(self, span: tuple[int, int], following: tuple[int, int]) -> bool:
        before, after = self._units[span[1] - 1], self._units[following[0]]
        return after.space != "\n" and after.start - before.end <= LONG_PAUSE

    def text(self, first: int, last: int) -> str:
        """Return a span's text, in lines of like length."""
        columns = self._max_chars
        if self.width(first, last) > columns:
            count = len(self._lines(first, last, columns, self._max_lines))
            least, most = math.ceil(self.width(first, last) / count), columns
            while least < most:  # the narrowest lines of that number
                middle = (least + most) // 2
                ends = self._lines(first, last, middle, count + 1)
                if len(ends) <= count and self._are_within(first, ends, middle):
                    most = middle
                else:
                    least = middle + 1
            columns = most
        lines, start = [], first
        for end in self._lines(first, last, columns, last - first):
            line = self._units[start].text
            for unit in self._units[start + 1 : end]:
                line += (" " if unit.space else "") + unit.text
            lines.append(line)
            start = end
        return "\n".join(lines)

    def _are_within(self, first: int, ends: Sequence[int], columns: int) -> bool:
        return all(self.width(start, end) <= columns for start, end in zip([first, *ends], ends))


_ABBREVIATED = re.compile(r"(?:^|[\W_])(?:mr|mrs|ms|dr|st|vs|prof|sr|jr|no|etc|[^\W\d_])\.\Z", re.IGNORECASE)


def _is_end(unit: _Unit, following: _Unit) -> bool:
    if following.space == "\n" or following.start - unit.end > LONG_PAUSE:
        return True
    return ends_sentence(unit.text, following.text)


def ends_sentence(text: str, following: str) -> bool:
    """Whether a sentence ends with a text, which has no white space at its end, before what follows."""
    return _SENTENCE_END.search(text) is not None and not _goes_on(text, following)


def ends_clause(text: str, following: str) -> bool:
    """Whether a clause, or a sentence, ends with a text; see ``ends_sentence``."""
    return _CLAUSE_END.search(text) is not None or ends_sentence(text, following)


def _goes_on(text: str, following: str) -> bool:
    """Whether a full stop does not end a sentence: an abbreviation's, or one before a small letter."""
    letter = next(filter(str.isalnum, following), "")
    return letter.islower() or _ABBREVIATED.search(text) is not None


# ---- what players would not show


def _harmless(text: str, kind: str) -> str:
    text = text.replace("{", "(").replace("}", ")")  # commands of ASS, which players obey in SRT too
    text = re.sub(r"\\(?=[nNh])", "\\\\\u2060", text)  # a line break there; parted by a sign without width
    if kind == "vtt":
        text = re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;").replace("-->", "--&gt;")
    elif kind == "srt":
        text = re.sub(r"<(?=/?[a-zA-Z])", "\u2039", text)
    return text
