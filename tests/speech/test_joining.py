"""Long texts: where they are parted, and what is joined of them."""

from __future__ import annotations

import io
import re
import sys
import tracemalloc
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pysubs2
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync import Cartesia, Word
from cartesia_sync.audio.kinds import SOUNDS
from cartesia_sync.local import LocalServer
from cartesia_sync.protocol.formats import RawFormat
from cartesia_sync.protocol.words import has_words
from cartesia_sync.speech.joining import Joiner, Paragraph, Piece, check_size, pieces_of
from cartesia_sync.speech.recording import Recording

from ..support.interrupts import LOCKS_LEAK, strikes

FORMAT = RawFormat("pcm_s16le", 8000)
SECOND = b"\1\0" * 8000
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"


# ---- where a text is parted


@pytest.mark.parametrize(
    ("text", "longest", "pieces"),
    [
        ("One.\n\nTwo.", 100, [("One.", 0, True), ("Two.", 6, True)]),
        ("  One.  \r\n \t\r\n\n\n  Two\nthree. \n", 100, [("One.", 2, True), ("Two\nthree.", 18, True)]),
        ("One.\n\n* * *\n\nTwo.", 100, [("One.", 0, True), ("Two.", 13, True)]),
        ("One two. Three four. Five.", 22, [("One two. Three four.", 0, True), ("Five.", 21, False)]),
        ("One two. Mr. Four is here", 14, [("One two.", 0, True), ("Mr. Four is", 9, False), ("here", 21, False)]),
        ("One two, three four five", 16, [("One two,", 0, True), ("three four five", 9, False)]),
        ("One two three", 9, [("One two", 0, True), ("three", 8, False)]),
        ("Incomprehensibilities are", 9, [("Incomprehensibilities", 0, True), ("are", 22, False)]),
        ("你好。世界。再见。", 7, [("你好。世界。", 0, True), ("再见。", 6, False)]),
        ('A <break time="1s"/> b', 5, [("A", 0, True), ('<break time="1s"/> b', 2, False)]),
        ("A <spell>1\n\n2</spell> b", 30, [("A <spell>1\n\n2</spell> b", 0, True)]),
        ('A\n\n<break time="2s"/>\n\nB', 9, [("A", 0, True), ('<break time="2s"/>\n\nB', 3, True)]),
        ("", 10, []),
        (" \n\n ... \n", 10, []),
    ],
)
def test_where_it_is_cut(text: str, longest: int, pieces: list[tuple[str, int, bool]]) -> None:
    assert [tuple(piece) for piece in pieces_of(text, longest)] == pieces


_parts = st.sampled_from(
    [
        "One ",
        "two. ",
        "three, ",
        "\n",
        "\n\n",
        "Dr. ",
        "你好。",
        '<break time="1s"/>',
        "<spell>A B</spell>",
        "[laughter] ",
        "!",
    ]
)


@given(st.lists(_parts, max_size=40).map("".join), st.integers(1, 60))
def test_no_word_is_lost_no_tag_is_cut_and_the_places_are_true(text: str, longest: int) -> None:
    pieces = list(pieces_of(text, longest))
    at = 0
    for piece in pieces:
        assert not has_words(text[at : piece.start])
        at = piece.start + len(piece.text)
        assert text[piece.start : at] == piece.text
        assert has_words(piece.text)
        assert piece.text.count("<spell>") == piece.text.count("</spell>")
        assert piece.text.count("<") == piece.text.count(">")
        if len(piece.text) > longest and not re.search(r"[<\[]", piece.text):  # a word that is longer
            assert not re.search(r"\s", piece.text[:longest])
    assert not has_words(text[at:])
    assert not pieces or pieces[0].is_first


@pytest.mark.parametrize(("text", "longest"), [(b"x", 10), ("x", 0), ("x", True), ("x", 2.0)])
def test_what_is_no_text_and_no_length_is_refused(text: Any, longest: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="got"):
        pieces_of(text, longest)


# ---- what is joined


def joined(text: str, path: Any, *, longest: int = 1000, **options: Any) -> Joiner:
    """Speak a text: a second a word, and silence in no place but between the paragraphs."""
    with Joiner(text, path, **options) as joiner:
        for piece in pieces_of(text, longest):
            words = [
                Word(found[0], float(number), number + 0.9, found.start(), found.end())
                for number, found in enumerate(re.finditer(r"\S+", piece.text))
            ]
            joiner.add(piece, [SECOND] * len(words), FORMAT, words)
    return joiner


TEXT = "One two.\n\nThree. Four five six.\n\n\nSeven."


def test_one_file_one_timeline_and_pauses_between_paragraphs_alone(tmp_path: Path) -> None:
    joiner = joined(TEXT, tmp_path / "a.wav", captions=tmp_path / "a.srt", pause=0.25, longest=16)
    speech = joiner.speech
    assert speech.seconds == 7 + 2 * 0.25
    with wave.open(str(tmp_path / "a.wav")) as file:
        audio = file.readframes(file.getnframes())
    silence = bytes(2 * 2000)
    assert audio == 2 * SECOND + silence + 4 * SECOND + silence + SECOND
    assert [word.text for word in speech.words] == ["One", "two.", "Three.", "Four", "five", "six.", "Seven."]
    assert [word.start for word in speech.words] == [0, 1, 2.25, 3.25, 4.25, 5.25, 6.5]
    assert [TEXT[word.text_start : word.text_end] for word in speech.words] == [word.text for word in speech.words]
    assert speech.paragraphs == (Paragraph(0, 2, 0, 8), Paragraph(2.25, 6.25, 10, 31), Paragraph(6.5, 7.5, 34, 40))
    read = pysubs2.load(str(tmp_path / "a.srt"))
    assert [event.plaintext for event in read] == ["One two.", "Three. Four five six.", "Seven."]
    assert [event.start for event in read] == [0, 2250, 6500]
    assert [cue.text for cue in speech.captions(max_chars=7)][:2] == ["One\ntwo.", "Three."]


@pytest.mark.parametrize("suffix", SOUNDS)
def test_any_kind_of_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    joined("One.\n\nTwo.", path, pause=0)
    assert soundfile.info(str(path)).duration == pytest.approx(2, abs=0.1)
    elsewhere = io.BytesIO()
    joined("One.", elsewhere, kind=SOUNDS[suffix])
    assert elsewhere.getvalue()[:2] == path.read_bytes()[:2]


def test_words_without_a_place_and_times_that_go_back(tmp_path: Path) -> None:
    with Joiner("One. Two.", tmp_path / "a.wav") as joiner:
        joiner.add(Piece("One. Two.", 0, True), [SECOND], FORMAT, [Word("five", 0.5, 0.6), Word("6", 0.2, 0.3)])
    assert joiner.speech.words == (Word("five", 0.5, 0.6), Word("6", 0.5, 0.5))


def test_a_paragraph_of_which_nothing_was_spoken_makes_one_pause_alone(tmp_path: Path) -> None:
    with Joiner("A\n\nB\n\nC", tmp_path / "a.wav", pause=1) as joiner:
        for piece, audio in zip(pieces_of("A\n\nB\n\nC"), ([SECOND], [b""], [b"", SECOND])):
            joiner.add(piece, audio, FORMAT)
    assert joiner.speech.seconds == 3
    assert [paragraph.start for paragraph in joiner.speech.paragraphs] == [0, 2]


@pytest.mark.parametrize(
    ("audio", "audio_format", "words"),
    [
        ([b"123"], FORMAT, "whole samples"),
        ([SECOND], RawFormat("pcm_s16le", 16000), "of one known format"),
        ([SECOND], None, "of one known format; got None"),
        (iter(lambda: 1 / 0, 0), FORMAT, "division"),
    ],
)
def test_what_goes_wrong_leaves_neither_file(tmp_path: Path, audio: Any, audio_format: Any, words: str) -> None:
    def speak() -> None:
        with Joiner("One. Two.", tmp_path / "a.wav", captions=tmp_path / "a.srt") as joiner:
            joiner.add(Piece("One.", 0, True), [SECOND], FORMAT)
            joiner.add(Piece("Two.", 5, False), audio, audio_format)

    (tmp_path / "a.srt").write_text("as it was")
    with pytest.raises((ValueError, ZeroDivisionError), match=words):
        speak()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.srt", "as it was")]


def test_a_text_without_a_word_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no letter or digit"):
        joined("...\n\n...", tmp_path / "a.wav", captions=tmp_path / "a.srt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.m4a", {}, "sound is written to"),
        ("a.srt", {}, "file of captions"),
        ("a.wav", {"captions": "a.txt"}, "captions are written to"),
        ("a.wav", {"pause": -1}, "0 or more; got -1"),
        ("a.wav", {"pause": "1"}, "number of seconds; got '1'"),
        ("a.opus", {"audio_format": RawFormat("pcm_s16le", 44100)}, "takes the sample rates"),
        ("a.wav", {"audio_format": RawFormat("pcm_f32le", 44100), "text": "x" * 500_000}, "holds 4 GiB"),
        ("a.wav", {"audio_format": RawFormat("pcm_s16le", 44100), "text": "你" * 300_000}, "holds 4 GiB"),
        ("a.srt", {"kind": "wav", "captions": "a.srt"}, "the captions need another name"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_spoken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, Any], words: str
) -> None:
    text = options.pop("text", "One.")
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=words):
        Joiner(text, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "library", "extra"), [("a.mp3", "soundfile", "audio"), ("a.wav", "pysubs2", "captions")]
)
def test_an_extra_that_is_missing_is_named_before_anything_is_spoken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, library: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"cartesia-sync\[{extra}\]"):
        Joiner("One.", tmp_path / name, captions=tmp_path / "a.srt")


def test_a_wav_file_that_will_hold_it_is_not_refused() -> None:
    check_size("wav", RawFormat("pcm_s16le", 44100), "x" * 500_000)
    check_size("flac", RawFormat("pcm_f32le", 44100), "x" * 5_000_000)
    check_size("wav", None, "x" * 5_000_000)


def test_a_book_takes_no_more_memory_than_its_words(tmp_path: Path) -> None:
    """100,000 characters, two hours of audio; ``scripts/bench speech`` has 500,000."""
    sentence = "It was the best of times, it was the worst of times, and nobody knew which. "
    text = "\n\n".join([sentence * 13] * 110)
    second, path = bytes(1600), tmp_path / "a.wav"
    tracemalloc.start()
    with Joiner(text, path, captions=tmp_path / "a.vtt") as joiner:
        before = tracemalloc.get_traced_memory()[0]
        for piece in pieces_of(text):
            words = [
                Word(found[0], number / 3, number / 3 + 0.3, found.start(), found.end())
                for number, found in enumerate(re.finditer(r"\S+", piece.text))
            ]
            joiner.add(piece, (second for _ in range(70)), RawFormat("pcm_mulaw", 1600), words)
        held = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    count = len(joiner.speech.words)
    assert len(text) >= 100_000
    assert count > 20_000
    assert path.stat().st_size > 11 << 20
    assert held < 400 * count + (1 << 20)


# ---- of the local server's voice


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


def test_paragraphs_spoken_at_once_are_joined_in_order(server: LocalServer, tmp_path: Path) -> None:
    text = 'First one here.\n\nThe second "one", <break time="200ms"/>longer.\n\n---\n\nThird; <spell>A1</spell>.'
    output_format = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}
    with Cartesia(api_key="any", base_url=server.url) as client, client.tts.websocket_connect() as connection:

        def speak(piece: Piece) -> Recording:
            context = connection.context(
                model_id="sonic-latest", voice=VOICE, output_format=output_format, add_timestamps=True
            )
            context.push(piece.text, continue_=False)
            recording = context.record()
            for _ in recording:
                pass
            return recording

        pieces = list(pieces_of(text))
        with ThreadPoolExecutor(4) as threads, Joiner(text, tmp_path / "a.opus", captions=tmp_path / "a.srt") as joiner:
            for piece, recording in zip(pieces, threads.map(speak, pieces)):
                joiner.add(piece, [recording.audio], recording.audio_format, recording.words)
    speech = joiner.speech
    shown = [word.text for word in speech.words]
    assert shown == ["First", "one", "here.", "The", "second", '"one",', "longer.", "Third;", "A1."]
    assert all(text[word.text_start : word.text_end].endswith(word.text[-1]) for word in speech.words)
    assert [word.start for word in speech.words] == sorted(word.start for word in speech.words)
    assert len(speech.paragraphs) == 3
    assert speech.seconds == pytest.approx(soundfile.info(str(tmp_path / "a.opus")).duration, abs=0.05)
    for before, after in zip(speech.paragraphs, speech.paragraphs[1:]):
        assert after.start - before.end == pytest.approx(0.5)
    assert len(pysubs2.load(str(tmp_path / "a.srt"))) == 3


@pytest.mark.skipif(LOCKS_LEAK, reason="3.9 strikes at more places than can be guarded")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what strikes in a finalizer
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_an_interrupt_anywhere_leaves_both_files_or_neither(tmp_path: Path, suffix: str) -> None:
    def speak(folder: Path) -> None:
        with Joiner("One two.\n\nThree.", folder / f"a{suffix}", captions=folder / "a.srt") as joiner:
            for piece in pieces_of("One two.\n\nThree."):
                joiner.add(piece, [SECOND], FORMAT, [Word(piece.text, 0.0, 0.9, 0, len(piece.text))])

    count = 0
    for number, strike in enumerate(strikes("/speech/joining.py")):
        folder = tmp_path / str(number)
        folder.mkdir()
        strike.run(speak, folder)
        names = {path.name for path in folder.iterdir()}
        assert names in (set(), {f"a{suffix}", "a.srt"}), strike.place
        count += strike.place is not None
    assert count > 100
