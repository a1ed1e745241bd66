"""Long texts: parted into paragraphs that are spoken at once, and joined in order into one file and one timeline."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, TYPE_CHECKING, NamedTuple, Optional, Union

from ..audio.encoders import EncodedWriter, check, writer
from ..audio.files import WholeFile
from ..audio.kinds import sound_kind_of
from ..audio.wav import MAX_AUDIO_BYTES, WavWriter
from ..protocol.formats import RawFormat, require_whole_samples
from ..protocol.words import TAG, has_words
from .captions import (
    MAX_CHARS,
    MAX_LINES,
    MAX_SECONDS,
    MIN_SECONDS,
    Captions,
    captions_of,
    ends_clause,
    ends_sentence,
    kind_of,
    load_pysubs2,
)
from .sentences import masked
from .words import Word

if TYPE_CHECKING:
    from ..audio.files import BinaryTarget
    from ..audio.kinds import Kind

LONGEST = 1000
"""Characters that are spoken as one; a longer paragraph is cut between sentences."""
PAUSE_SECONDS = 0.5
"""Silence between two paragraphs."""
CHARACTERS_A_SECOND = 15.0
"""Of speech, about; to tell whether a WAV file will hold a text."""

_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
_SLOW = re.compile("[\u3040-\u9fff\uac00-\ud7af]")
"""Chinese, Japanese and Korean: a syllable or more in each."""
_TAG = re.compile(TAG, re.IGNORECASE)
_SPACE = re.compile(r"\s+|(?<=[\u3002\uff01\uff1f])(?=\S)")  # Chinese and Japanese have none


class Piece(NamedTuple):
    """A part of a long text that is spoken by itself.

    Attributes:
        text: It, without the white space around it.
        start: Where it begins in the long text, in characters.
        is_first: Whether a paragraph begins with it.
    """

    text: str
    start: int
    is_first: bool


class Paragraph(NamedTuple):
    """Where a paragraph is, in the audio and in the text.

    Attributes:
        start: Seconds from the beginning of the audio.
        end: Likewise, without the silence behind it.
        text_start: Where it begins in the text, in characters.
        text_end: Likewise.
    """

    start: float
    end: float
    text_start: int
    text_end: int


@dataclass(frozen=True)
class LongSpeech:
    """What became of a long text.

    Attributes:
        seconds: The length of the audio.
        transcript: The text.
        words: With their times, and their places in the text; empty where none were asked for.
        paragraphs: Where each is; those without a letter or digit are not spoken, and not here.
    """

    seconds: float
    transcript: str = field(repr=False)
    words: tuple[Word, ...] = field(repr=False)
    paragraphs: tuple[Paragraph, ...] = field(repr=False)

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
            ValueError, TypeError: A limit is not valid.
        """
        return captions_of(
            self.words,
            self.transcript,
            max_chars=max_chars,
            max_lines=max_lines,
            max_seconds=max_seconds,
            min_seconds=min_seconds,
        )


def pieces_of(text: str, longest: int = LONGEST) -> Iterator[Piece]:
    """Part a text into its paragraphs, between which are blank lines, and those that are too long between sentences.

    No tag is cut. What has no letter or digit is left out, since nothing is spoken of it; but a tag by itself, such as
    a break, leaves with what follows.

    Args:
        text: Any text.
        longest: Characters in a piece, 1 or more; it is more where a tag is longer, or a word.

    Raises:
        TypeError, ValueError: The text is none, or the length is none.
    """
    if not isinstance(text, str):
        raise TypeError(f"a long text is a str; got {type(text).__name__}")
    if type(longest) is not int or longest < 1:
        raise ValueError(f"the longest piece has 1 character or more; got {longest!r}")
    return _pieces(text, masked(text), longest)


def _pieces(text: str, plain: str, longest: int) -> Iterator[Piece]:
    start, held = 0, None  # where a tag begins that waits for a word
    ends = [(found.start(), found.end()) for found in _BLANK_LINE.finditer(plain)]
    for end, following in (*ends, (len(text), len(text))):
        is_first = True
        while start < end:
            cut = _cut(plain, start, end, longest)
            piece = text[start if held is None else held : cut].strip()
            begin = start + len(text[start:cut]) - len(text[start:cut].lstrip()) if held is None else held
            if has_words(piece):
                yield Piece(piece, begin, is_first)
                is_first, held = False, None
            elif _TAG.search(piece):
                held = begin
            start = cut
        start = following


def _cut(plain: str, start: int, end: int, longest: int) -> int:
    """Return where the piece ends that begins at a place: at the last sentence's end within reach, or at a lesser one.

    Args:
        plain: The text with letters in the place of tags, so that none is cut.
        start: Where it begins.
        end: Of the paragraph.
        longest: How far it may reach.
    """
    if end - start <= longest:
        return end
    spaces = [found for found in _SPACE.finditer(plain, start, min(start + longest + 1, end)) if found.start() > start]
    for is_good in (ends_sentence, ends_clause):
        for space in reversed(spaces):
            before, after = plain[max(start, space.start() - 40) : space.start()], plain[space.end() : space.end() + 40]
            if is_good(before, after):
                return space.end()
    if spaces:
        return spaces[-1].end()
    found = _SPACE.search(plain, start + longest, end)
    return end if found is None else found.end()


def check_size(kind: Kind, audio_format: Optional[RawFormat], text: str) -> None:
    """Find what keeps a long text from being written so, before any of it is spoken, which costs money.

    Raises:
        ImportError: The kind needs the extra ``audio``.
        ValueError: There is no such kind, it does not take the sample rate, or it will not hold so much audio.
    """
    check(kind, audio_format)
    if kind != "wav" or audio_format is None:
        return
    seconds = (len(text) + 2 * len(_SLOW.findall(text))) / CHARACTERS_A_SECOND
    expected = seconds * audio_format.sample_rate * audio_format.sample_bytes
    if expected > MAX_AUDIO_BYTES:
        raise ValueError(
            f"a WAV file holds 4 GiB, and {len(text)} characters will take about {expected / 2**30:.1f}: write .flac "
            "or .mp3, or ask for an output_format with fewer bytes"
        )


class Joiner:
    """Writes what was spoken of a long text, piece after piece, into one file, and its captions into another.

    Both appear under their names when the ``with`` block ends, and neither where it ends with an exception::

        with Joiner(text, "book.mp3", captions="book.srt") as joiner:
            for piece in pieces_of(text):
                joiner.add(piece, [audio], audio_format, words)
        joiner.speech.seconds

    The audio is written as it comes; what is held are the words.

    Threads: one; waits for the disk alone.
    """

    def __init__(
        self,
        text: str,
        path: Union[str, os.PathLike[str], BinaryTarget],
        *,
        kind: Optional[Kind] = None,
        captions: Union[str, os.PathLike[str], None] = None,
        pause: float = PAUSE_SECONDS,
        audio_format: Optional[RawFormat] = None,
    ) -> None:
        """Find what is wrong with what was asked for; nothing is opened before the ``with`` block begins.

        Args:
            text: The whole text, in which the words' places are.
            path: Where the audio is to be, or a writable binary file object.
            kind: Of sound; None goes by the path's suffix, and writes WAV where that says nothing.
            captions: Where the captions are to be; None writes none.
            pause: Seconds of silence between two paragraphs.
            audio_format: What the audio will be; None where that is not known yet.

        Raises:
            ImportError: An extra is missing; the error names it.
            TypeError, ValueError: An argument is none, or the file will not hold so long a text.
        """
        if isinstance(pause, bool) or not isinstance(pause, (int, float)):
            raise TypeError(f"pause is a number of seconds; got {pause!r}")
        if not (math.isfinite(pause) and pause >= 0):
            raise ValueError(f"pause is a number of seconds, 0 or more; got {pause!r}")
        chosen = sound_kind_of(path) if kind is None else kind
        check_size(chosen, audio_format, text)
        self._captions_kind = None
        self._captions: Optional[WholeFile] = None
        if captions is not None:
            self._captions_kind = kind_of(captions)
            if isinstance(path, (str, os.PathLike)) and os.path.abspath(path) == os.path.abspath(captions):
                raise ValueError(f"the audio goes to {os.fsdecode(path)!r}; the captions need another name")
            load_pysubs2()
            self._captions = WholeFile(captions)
        self._text, self._pause = text, pause
        self._writer: Union[WavWriter, EncodedWriter] = writer(path, chosen)
        self._stack = contextlib.ExitStack()
        self._captions_file: Optional[IO[bytes]] = None
        self._begins_paragraph = False  # whether what comes next does
        self._words: list[Word] = []
        self._paragraphs: list[Paragraph] = []

    def __enter__(self) -> Joiner:
        with contextlib.ExitStack() as stack:
            if self._captions is not None:
                self._captions_file = stack.enter_context(self._captions)
            stack.enter_context(self._writer)
            self._stack = stack.pop_all()
        return self

    def add(
        self, piece: Piece, audio: Iterable[bytes], audio_format: Optional[RawFormat], words: Sequence[Word] = ()
    ) -> float:
        """Add what was spoken of the next piece; return the seconds of audio that there are.

        Args:
            piece: One of ``pieces_of(text)``, in their order.
            audio: All of its audio, in any parts; none is fine.
            audio_format: What it is; the same for all of them.
            words: With times from the beginning of its audio, and places in its text.

        Raises:
            OSError: The file cannot be written.
            ValueError: The format is another than before, not known, or not one that this kind of file takes; or the
                audio does not end with a sample.
        """
        self._begins_paragraph = self._begins_paragraph or piece.is_first
        begun = self._writer.seconds
        for number, part in enumerate(filter(None, audio)):
            if not number:
                begun = self._begin(audio_format)
            self._writer.write(part)
        ended = self._writer.seconds
        if ended == begun:
            return ended
        assert audio_format is not None
        require_whole_samples(self._writer.audio_bytes, audio_format.encoding)
        self._note(piece, begun, ended, words)
        return ended

    def _begin(self, audio_format: Optional[RawFormat]) -> float:
        """Be silent before a paragraph; return where the piece's audio begins."""
        before = self._writer.format
        if audio_format is None or before not in (None, audio_format):
            raise ValueError(f"all pieces of a text are of one known format; got {audio_format} after {before}")
        self._writer.format = audio_format
        if self._begins_paragraph and self._paragraphs:
            samples = round(self._pause * audio_format.sample_rate)
            self._writer.write(audio_format.silence(samples * audio_format.sample_bytes))
        return self._writer.seconds

    def _note(self, piece: Piece, begun: float, ended: float, words: Sequence[Word]) -> None:
        last = self._words[-1].start if self._words else 0.0
        for word in words:
            last = max(begun + word.start, last)
            place = (
                (None, None)
                if word.text_start is None or word.text_end is None
                else (piece.start + word.text_start, piece.start + word.text_end)
            )
            self._words.append(Word(word.text, last, max(begun + word.end, last), *place))
        text_end = piece.start + len(piece.text)
        if self._begins_paragraph or not self._paragraphs:
            self._begins_paragraph = False
            self._paragraphs.append(Paragraph(begun, ended, piece.start, text_end))
        else:
            self._paragraphs[-1] = self._paragraphs[-1]._replace(end=ended, text_end=text_end)

    @property
    def speech(self) -> LongSpeech:
        """What there is until now; all of it after the ``with`` block."""
        return LongSpeech(self._writer.seconds, self._text, tuple(self._words), tuple(self._paragraphs))

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with self._stack:
            if not self._paragraphs:
                raise ValueError("there is no letter or digit in the text, and so no audio to save; no file was made")
            if self._captions_file is not None and self._captions_kind is not None:
                self._captions_file.write(self.speech.captions().content(self._captions_kind).encode())
