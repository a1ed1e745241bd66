"""Speech as a picture: its wave, its words, its gaps."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

from ..audio.files import WholeFile
from ..audio.kinds import PICTURES, kind_among
from ..extras import missing
from .words import Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..audio.files import BinaryTarget
    from ..audio.kinds import PictureKind

GAP_SECONDS = 0.25
"""Silence between two words that is drawn as a gap."""

_ROW_SECONDS = 8.0
_MOST_ROWS = 40
_COLUMNS = 1600
"""Of a row; more is not seen."""
_WORDS_SECONDS = 20.0
"""Of a row, above which words would hide each other."""


def draw(
    path: Union[str, os.PathLike[str], BinaryTarget],
    samples: NDArray[np.float32],
    sample_rate: int,
    *,
    words: Sequence[Word] = (),
    flushes: Sequence[float] = (),
    title: str = "",
) -> None:
    """Draw audio in rows of some seconds: the wave, gaps between words in grey, words below it, flushes as lines.

    Args:
        path: A name that ends in ``.png``, ``.svg`` or ``.pdf``, or a binary file object, which gets PNG.
        samples: Shape (n,), -1 to 1.
        sample_rate: In Hz.
        words: With their times.
        flushes: Where one begins, in seconds.
        title: Above it.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: The suffix is none of these.
        OSError: The file cannot be written.

    Threads: any; it uses no state of matplotlib's that all share. Waits for the disk alone.
    """
    kind = kind_of(path)
    figure_of, collection_of = _load_matplotlib()
    seconds = len(samples) / sample_rate
    rows = min(max(math.ceil(seconds / _ROW_SECONDS), 1), _MOST_ROWS)
    row_seconds = max(seconds / rows, 0.1) if rows > 1 else max(seconds, 0.1)
    figure = figure_of(figsize=(14, 0.6 + 1.7 * rows), layout="constrained")
    if title:
        figure.suptitle(f"{title}: {seconds:.2f} s", fontsize=10)
    for row in range(rows):
        axes = figure.add_subplot(rows, 1, row + 1)
        start, end = row * row_seconds, (row + 1) * row_seconds
        axes.set_xlim(start, end)
        axes.set_ylim(-1.95, 1.05)
        axes.set_yticks([])
        for side in ("left", "right", "top"):
            axes.spines[side].set_visible(False)
        axes.add_collection(_wave(collection_of, samples, sample_rate, start, end))
        for left, right in gaps(words, seconds):
            if left < end and right > start:
                axes.axvspan(max(left, start), min(right, end), color="0.9", zorder=0)
        for flush in flushes:
            if start <= flush < end:
                axes.axvline(flush, color="tab:red", linewidth=1)
        if row_seconds <= _WORDS_SECONDS:
            for index, word in enumerate(words):
                if start <= word.start < end:
                    _write(axes, word, level=index % 3)
    axes.set_xlabel("seconds")
    picture = io.BytesIO()
    figure.savefig(picture, format=kind, dpi=100)
    with WholeFile(path) as file:
        file.write(picture.getvalue())


def kind_of(path: object) -> PictureKind:
    """Return the kind of picture that a path asks for by its suffix; PNG for a file object.

    Raises:
        ValueError: None of them.
    """
    is_name = isinstance(path, (str, os.PathLike))
    return kind_among(PICTURES, path, "a plot is written to") if is_name else "png"


def gaps(words: Sequence[Word], seconds: float) -> list[tuple[float, float]]:
    """Return the silences before, between and after words, that are long enough to be drawn: starts and ends."""
    if not words:
        return []
    ends = [0.0, *(word.end for word in words)]
    starts = [*(word.start for word in words), seconds]
    return [(end, start) for end, start in zip(ends, starts) if start - end >= GAP_SECONDS]


def _load_matplotlib() -> tuple[Any, Any]:
    try:
        from matplotlib.collections import LineCollection
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing("plot", "a plot needs matplotlib", cause=error) from error
    return Figure, LineCollection


def _wave(collection_of: Any, samples: NDArray[np.float32], sample_rate: int, start: float, end: float) -> Any:
    """Return the lines from the lowest to the highest sample of each column."""
    first, last = round(start * sample_rate), min(round(end * sample_rate), len(samples))
    step = max((last - first) // _COLUMNS, 1)
    part = samples[first : first + (last - first) // step * step].reshape(-1, step).clip(-1, 1)
    low, high = part.min(axis=1).tolist(), part.max(axis=1).tolist()
    times = [(first + (index + 0.5) * step) / sample_rate for index in range(len(low))]
    lines = [((time, least), (time, most)) for time, least, most in zip(times, low, high)]
    return collection_of(lines, linewidths=0.8, colors="tab:blue")


def _write(axes: Any, word: Word, *, level: int) -> None:
    height = -1.12 - 0.25 * level
    axes.plot([word.start, max(word.end, word.start)], [-1.04, -1.04], color="tab:orange", linewidth=2)
    # Not as mathematics, which a text with two dollar signs would be.
    axes.text(word.start, height, word.text, fontsize=8, va="top", parse_math=False, clip_on=False)
