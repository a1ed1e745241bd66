from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartesia_sync.local.voice import speech
from cartesia_sync.local.voice.audio_format import ENCODINGS, SAMPLE_RATES_HZ, AudioFormat
from cartesia_sync.local.voice.speech import LANGUAGES, REGIONS, Speaker, SpeechError, Spoken, choose_voice
from cartesia_sync.local.voice.transcript import Pause, Phrase, Style

ENGINES = ["signal"]
if importlib.util.find_spec("espeakng_loader") is not None:
    ENGINES.append("espeak")

EXAMPLES = [
    uuid.UUID(text)
    for text in (
        "6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
        "a0e99841-438c-4a64-b679-ae501e7d6091",
        "694f9389-aac1-45b6-b726-9d9369183238",
        "f786b574-daa5-4673-aa0c-cbe3e8534c02",
        "9626c31c-bec5-4cca-baa8-f8ba9e84c8bc",
        "e07c00bc-4134-4eae-9ea4-1a55fb45746b",
        "228fca29-3a0a-435c-8728-5cb483251068",
        "5ee9feff-1265-424a-9d7f-8e4d431a12c7",
    )
]
VOICE = choose_voice(EXAMPLES[0], "en")
PLAIN = Style()


@pytest.fixture(params=ENGINES)
def speaker(request: pytest.FixtureRequest) -> Iterator[Speaker]:
    made = Speaker(request.param)
    yield made
    made.close()


@pytest.fixture
def espeak() -> Iterator[Speaker]:
    if "espeak" not in ENGINES:
        pytest.skip("no eSpeak NG for this machine")
    made = Speaker("espeak")
    yield made
    made.close()


def say(speaker: Speaker, *parts: Any, voice: Any = VOICE, encoding: str = "pcm_s16le", rate: int = 22050) -> Spoken:
    return asyncio.run(
        speaker.speak(
            [Phrase(part, PLAIN) if isinstance(part, str) else part for part in parts],
            voice,
            AudioFormat(encoding, rate),
        )
    )


def samples_of(spoken: Spoken) -> np.ndarray:
    return np.frombuffer(spoken.audio, "<i2") / 32768


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def test_speech_is_audible_and_not_clipped(speaker: Speaker) -> None:
    samples = samples_of(say(speaker, "The quick brown fox jumps over the lazy dog."))
    assert 1.5 < len(samples) / 22050 < 6
    assert 0.02 < rms(samples) < 0.3
    assert 0.2 < np.max(np.abs(samples)) < 0.95
    assert abs(np.mean(samples)) < 0.01


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_form_of_audio_lasts_as_long_as_it_says(espeak: Speaker, encoding: str) -> None:
    plain = say(espeak, "Hello.")
    for rate in SAMPLE_RATES_HZ:
        spoken = say(espeak, "Hello.", encoding=encoding, rate=rate)
        assert len(spoken.audio) == round(spoken.seconds * rate) * ENCODINGS[encoding]
        assert spoken.seconds == pytest.approx(plain.seconds, abs=1 / rate)
        assert spoken.words == plain.words


def test_the_same_words_make_the_same_bytes_in_another_process(speaker: Speaker) -> None:
    again = Speaker("signal" if isinstance(speaker._engines[-1], speech._SignalEngine) else "espeak")
    say(again, "First something else!")
    try:
        assert say(speaker, "Same each time, is it?") == say(again, "Same each time, is it?")
    finally:
        again.close()


def test_every_speaker_is_the_same_each_time_and_unlike_the_others(espeak: Speaker) -> None:
    audios = set()
    for name in speech._SPEAKERS:
        voice = speech.Voice("en-us", name)
        audio = say(espeak, "The same words.", voice=voice).audio
        assert audio == say(espeak, "The same words.", voice=voice).audio, name
        assert np.max(np.abs(np.frombuffer(audio, "<i2"))) < 32000, f"{name} is clipped"
        audios.add(audio)
    assert len(audios) == len(speech._SPEAKERS)


def test_every_language_has_a_voice(espeak: Speaker) -> None:
    for language in (*LANGUAGES, *REGIONS):
        assert say(espeak, "2 3.", voice=choose_voice(EXAMPLES[0], language)).seconds > 0.1, language


def test_the_services_example_voices_are_eight_speakers() -> None:
    assert len({choose_voice(example, "en") for example in EXAMPLES}) == 8


def test_any_voice_id_is_somebody_and_always_the_same() -> None:
    ids = [uuid.UUID(int=number) for number in range(100)]
    voices = [choose_voice(voice_id, "de") for voice_id in ids]
    assert voices == [choose_voice(voice_id, "de") for voice_id in ids]
    assert len(set(voices)) > 10


def test_word_times_lie_where_the_sound_is(speaker: Speaker) -> None:
    """Between the words' spans, and only there, is silence of any length."""
    spoken = say(speaker, "Stop, please. Now.")
    samples = samples_of(spoken)
    assert [word.text for word in spoken.words] == ["Stop,", "please.", "Now."]
    for word in spoken.words:
        inside = samples[int(word.start * 22050) : int(word.end * 22050)]
        assert rms(inside) > 0.02, word
    for word, following in zip(spoken.words, spoken.words[1:]):
        gap = samples[int((word.end + 0.02) * 22050) : int((following.start - 0.02) * 22050)]
        assert rms(gap) < 0.01, (word, following)
    assert spoken.words[-1].end <= spoken.seconds


def test_phonemes_belong_to_the_words(speaker: Speaker) -> None:
    spoken = say(speaker, "Hello, hello.")
    assert len(spoken.phonemes) >= 6
    edges = [edge for phoneme in spoken.phonemes for edge in (phoneme.start, phoneme.end)]
    assert edges == sorted(edges)
    assert spoken.phonemes[-1].end <= spoken.seconds


def test_a_break_is_silence_and_what_follows_comes_later(speaker: Speaker) -> None:
    plain = say(speaker, "One", "two")
    broken = say(speaker, "One", Pause(0.5), "two")
    assert broken.seconds == pytest.approx(plain.seconds + 0.5, abs=0.001)
    assert broken.words[1].start == pytest.approx(plain.words[1].start + 0.5, abs=0.001)
    middle = broken.words[1].start - 0.25
    assert rms(samples_of(broken)[int((middle - 0.1) * 22050) : int((middle + 0.1) * 22050)]) < 0.001


def test_speed_and_volume_are_obeyed(speaker: Speaker) -> None:
    text = "A sentence of some length"
    usual, quick = say(speaker, text), say(speaker, Phrase(text, Style(speed=1.5)))
    assert quick.seconds < 0.8 * usual.seconds
    soft, loud = say(speaker, Phrase(text, Style(volume=0.5))), say(speaker, Phrase(text, Style(volume=2.0)))
    assert rms(samples_of(soft)) == pytest.approx(rms(samples_of(usual)) / 2, rel=0.01)
    assert rms(samples_of(loud)) > 1.5 * rms(samples_of(usual))
    assert np.max(np.abs(samples_of(loud))) < 1.0


@pytest.mark.parametrize("text", ["\x00 a\x00b", "half \ud800 a pair", "tab\tand\nline", "🙂 ok", "x" * 500])
def test_odd_text_is_spoken_too(speaker: Speaker, text: str) -> None:
    spoken = say(speaker, text)
    assert spoken.seconds > 0
    assert [word.text for word in spoken.words] == text.split()


def test_a_process_is_replaced_after_long_service(espeak: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "_UTTERANCES_A_PROCESS", 2)
    processes, audios = set(), set()
    for _ in range(4):
        audios.add(say(espeak, "Hello.").audio)
        process = espeak._engines[-1]._process  # type: ignore[union-attr]  # the fixture's engine
        assert process is not None
        processes.add(process.pid)
    assert len(processes) == 3
    assert len(audios) == 1


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_process_that_dies_is_replaced(espeak: Speaker) -> None:
    before = say(espeak, "Hello.")
    process = espeak._engines[-1]._process  # type: ignore[union-attr]  # the fixture's engine
    assert process is not None
    os.kill(process.pid, signal.SIGTERM)
    assert say(espeak, "Hello.") == before


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_close_wakes_a_sentence_that_hangs(espeak: Speaker) -> None:
    say(espeak, "Hello.")
    process = espeak._engines[-1]._process  # type: ignore[union-attr]  # the fixture's engine
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)

    async def speak_and_close() -> None:
        speaking = asyncio.ensure_future(espeak.speak([Phrase("Hello.", PLAIN)], VOICE, AudioFormat("pcm_s16le", 8000)))
        await asyncio.sleep(0)
        await asyncio.get_running_loop().run_in_executor(None, espeak.close)
        with pytest.raises((SpeechError, asyncio.CancelledError)):
            await speaking

    asyncio.run(speak_and_close())


def test_an_engine_that_is_ended_while_it_starts_is_not_taken_for_missing(
    espeak: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = Speaker("auto")
    engine = speaker._engines[-1]
    assert isinstance(engine, speech._EspeakEngine)
    read = engine._read

    def end(process: Any) -> Any:
        engine.kill()
        return read(process)

    monkeypatch.setattr(engine, "_read", end)
    try:
        with pytest.raises(SpeechError, match="stopped"):
            say(speaker, Phrase("Hi.", PLAIN))
        assert speaker._engines[-1] is engine
    finally:
        speaker.close()


def test_auto_falls_back_and_says_so_once(tmp_path: Path) -> None:
    """In a process of its own: what is printed once, and what can be imported, are the process's."""
    program = (
        "import asyncio, sys\n"
        "from cartesia_sync.local.voice import speech\n"
        "from cartesia_sync.local.voice.audio_format import AudioFormat\n"
        "from cartesia_sync.local.voice.transcript import Phrase, Style\n"
        "from pathlib import Path\n"
        "speech._espeak_folder = lambda: Path(sys.argv[1]) if sys.argv[1] else None\n"
        "for _ in range(2):\n"
        "    speaker = speech.Speaker('auto')\n"
        "    voice = speech.Voice('en-us', 'f1')\n"
        "    spoken = asyncio.run(speaker.speak([Phrase('Hello.', Style())], voice, AudioFormat('pcm_s16le', 8000)))\n"
        "    assert spoken.seconds > 0\n"
        "    speaker.close()\n"
        "try:\n"
        "    speech.Speaker('espeak')\n"
        "except ImportError as exc:\n"
        "    assert 'cartesia-sync[local]' in str(exc)\n"
        "else:\n"
        "    assert sys.argv[1]\n"
    )
    for folder in ("", str(tmp_path)):  # not installed; installed and broken
        ended = subprocess.run(
            [sys.executable, "-c", program, folder], capture_output=True, text=True, timeout=20, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr.count("speech-like signal") == 1


def test_a_broken_engine_that_was_asked_for_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "_espeak_folder", lambda: tmp_path)
    speaker = Speaker("espeak")
    try:
        with pytest.raises(SpeechError, match="espeakng_loader"):
            say(speaker, "Hello.")
    finally:
        speaker.close()


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="engine"):
        Speaker("parrot")


def test_sentences_are_spoken_side_by_side_and_sound_the_same(espeak: Speaker) -> None:
    texts = [f"This is sentence number {number}, and it is spoken." for number in range(12)]
    parts = [[Phrase(text, PLAIN)] for text in texts]
    audio_format = AudioFormat("pcm_s16le", 24000)

    async def at_once(speaker: Speaker) -> list[Spoken]:
        return await asyncio.gather(*(speaker.speak(each, VOICE, audio_format) for each in parts))

    several = Speaker("espeak", engines=3)
    try:
        spoken = asyncio.run(at_once(several))
        assert sum(getattr(engine, "_process", None) is not None for engine in several._all_engines) == 3
    finally:
        several.close()
    assert spoken == [say(espeak, text, rate=24000) for text in texts]


def test_one_sentence_at_a_time_starts_one_process(espeak: Speaker) -> None:
    for _ in range(3):
        say(espeak, "Hello.")
    assert sum(getattr(engine, "_process", None) is not None for engine in espeak._all_engines) == 1


def test_who_is_due_first_is_served_first() -> None:
    """Whoever asks, and however many have asked before."""
    speaker = Speaker("signal", engines=1)
    order: list[str] = []

    async def ask(name: str, due: float) -> None:
        await speaker.speak([Phrase("One two three four.", PLAIN)], VOICE, AudioFormat("pcm_s16le", 24000), due=due)
        order.append(name)

    async def scene() -> None:
        busy = [ask(f"busy {number}", 10.0) for number in range(20)]
        await asyncio.gather(*busy, ask("late", 9.0), ask("new", 5.0), ask("starved", -1.0))

    try:
        asyncio.run(scene())
    finally:
        speaker.close()
    # Two had their turn before: one that is spoken, one that lies ready.
    assert order[:5] == ["busy 0", "busy 1", "starved", "new", "late"]
    assert order[5:] == [f"busy {number}" for number in range(2, 20)]


def test_who_gives_up_gives_the_turn_to_another() -> None:
    speaker = Speaker("signal", engines=1)

    async def scene() -> int:
        parts, audio_format = [Phrase("One.", PLAIN)], AudioFormat("pcm_s16le", 8000)
        asking = [asyncio.ensure_future(speaker.speak(parts, VOICE, audio_format)) for _ in range(30)]
        await asyncio.sleep(0)
        for each in asking[::2]:
            each.cancel()
        results = await asyncio.gather(*asking, return_exceptions=True)
        await speaker.speak(parts, VOICE, audio_format)
        assert speaker._turns._left == 2
        return sum(isinstance(result, Spoken) for result in results)

    try:
        assert asyncio.run(scene()) == 15
    finally:
        speaker.close()
