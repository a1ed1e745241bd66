"""A picture of speech."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from cartesia_sync.speech.plot import draw, gaps
from cartesia_sync.speech.words import Word

RATE = 8000


def tone(seconds: float) -> np.ndarray:
    return np.sin(np.arange(int(seconds * RATE)) / 5, dtype=np.float32)


WORDS = (Word("One", 0.3, 0.8), Word("$x$", 0.9, 1.2), Word("two.", 2.0, 2.4))


def test_gaps_are_silences_that_can_be_seen() -> None:
    assert gaps(WORDS, 3.0) == [(0.0, 0.3), (1.2, 2.0), (2.4, 3.0)]
    assert gaps((), 3.0) == []


@pytest.mark.parametrize(("suffix", "begins"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_a_picture_is_written_whole(tmp_path: Path, suffix: str, begins: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    draw(path, tone(3), RATE, words=WORDS, flushes=[1.5], title="a title")
    assert path.read_bytes().startswith(begins)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_the_wave_the_gaps_and_the_flushes_are_in_it() -> None:
    def colours(**fields: object) -> dict[str, int]:
        picture = io.BytesIO()
        draw(picture, tone(3), RATE, **fields)  # type: ignore[arg-type]  # as the lines below have them
        picture.seek(0)
        pixels = (imread(picture)[:, :, :3] * 255).round().astype(int)
        wanted = {"wave": (31, 119, 180), "gap": (229, 229, 229), "flush": (214, 39, 40), "word": (255, 127, 14)}
        return {name: int((abs(pixels - colour).max(axis=2) < 4).sum()) for name, colour in wanted.items()}

    plain, full = colours(), colours(words=WORDS, flushes=[1.5])
    assert plain["wave"] > 10_000
    assert max(plain["gap"], plain["flush"], plain["word"]) < 50  # the edges of the letters
    assert full["gap"] > 10_000
    assert full["flush"] > 100
    assert full["word"] > 500


def test_a_long_one_has_many_rows_and_an_empty_one_is_a_picture_too(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    add = Figure.add_subplot

    def watched(figure: Figure, *place: int) -> object:
        rows.append(place)
        return add(figure, *place)

    monkeypatch.setattr(Figure, "add_subplot", watched)
    draw(io.BytesIO(), tone(20), RATE)
    assert rows == [(3, 1, 1), (3, 1, 2), (3, 1, 3)]
    draw(io.BytesIO(), tone(0), RATE)
    assert rows[3:] == [(1, 1, 1)]


def test_what_is_no_picture_is_refused_and_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"\.png, \.svg, \.pdf; got .*a\.gif"):
        draw(tmp_path / "a.gif", tone(1), RATE)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'cartesia-sync\[plot\]'"):
        draw(tmp_path / "a.png", tone(1), RATE)
    assert list(tmp_path.iterdir()) == []
