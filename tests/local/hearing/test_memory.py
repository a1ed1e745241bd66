"""What was spoken is known again: the real voice, in all encodings and rates, cut at words."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from cartesia_sync.audio import recording
from cartesia_sync.local.hearing import analysis
from cartesia_sync.local.hearing.memory import Memory
from cartesia_sync.local.voice import sound
from cartesia_sync.local.voice.audio_format import AudioFormat
from cartesia_sync.local.voice.speech import Speaker, choose_voice
from cartesia_sync.local.voice.timing import Timed
from cartesia_sync.local.voice.transcript import Style, read_tags

VOICE = uuid.UUID("6ccbfb76-1fc6-48f7-b71d-91ac6298247b")
RATE = 24000
SENTENCES = (
    "Hello there, how are you today?",
    "I am fine, thank you.",
    "The quick brown fox jumps over the lazy dog.",
    "I would like to cancel my subscription, please.",
    "Yes.",
    "No.",
    "My number is 42.",
)
RATES = (8000, 16000, 22050, 24000, 44100, 48000)


class Said(NamedTuple):
    samples: analysis.Samples
    words: list[Timed]


@pytest.fixture(scope="module", params=["espeak", "signal"])
def said(request: pytest.FixtureRequest) -> tuple[Memory, list[Said]]:
    memory = Memory()

    async def speak() -> list[Said]:
        speaker = Speaker(request.param)
        speaker.on_spoken = lambda audio, made, words: memory.remember(audio, made.encoding, made.sample_rate_hz, words)
        spoken = []
        try:
            for sentence in SENTENCES:
                parts, _ = read_tags(sentence, Style())
                one = await speaker.speak(parts, choose_voice(VOICE, "en"), AudioFormat("pcm_s16le", RATE))
                spoken.append(Said(analysis.decode(one.audio, "pcm_s16le"), one.words))
        finally:
            speaker.close()
        return spoken

    return memory, asyncio.run(speak())


def texts(words: Sequence[Timed]) -> list[str]:
    return [word.text for word in words]


@pytest.mark.parametrize("encoding", analysis.ENCODINGS)
@pytest.mark.parametrize("rate", RATES)
def test_each_sentence_is_known_in_each_form(said: tuple[Memory, list[Said]], encoding: str, rate: int) -> None:
    memory, sentences = said
    for one in sentences:
        before = np.zeros(round(0.123 * RATE))  # so that it begins at no frame of ours
        samples = sound.resample(np.concatenate((before, one.samples)), rate, RATE)
        audio = recording.encode(samples.astype(np.float32), encoding)
        heard = memory.recognise(analysis.decode(audio, encoding), rate)
        assert texts(heard) == texts(one.words)
        for ours, theirs in zip(heard, one.words):
            assert abs(ours.start - 0.123 - theirs.start) <= 0.05
            assert abs(ours.end - 0.123 - theirs.end) <= 0.05


def test_a_sentence_that_is_cut_at_a_word_is_heard_to_there(said: tuple[Memory, list[Said]]) -> None:
    memory, sentences = said
    one = sentences[2]
    for count in range(2, len(one.words)):
        cut = one.samples[: round(one.words[count - 1].end * RATE)]
        assert texts(memory.recognise(cut, RATE)) == texts(one.words[:count])
        rest = one.samples[round(one.words[count - 1].start * RATE) :]
        assert texts(memory.recognise(rest, RATE))[-1] == "dog."


def test_sentences_in_another_order_are_heard_in_that_order(said: tuple[Memory, list[Said]]) -> None:
    memory, sentences = said
    order = [sentences[number] for number in (3, 0, 4, 1)]
    heard = memory.recognise(np.concatenate([one.samples for one in order]), RATE)
    assert texts(heard) == [text for one in order for text in texts(one.words)]
    assert all(first.start <= second.start for first, second in zip(heard, heard[1:]))


def test_what_was_not_spoken_is_not_heard(said: tuple[Memory, list[Said]]) -> None:
    memory, _ = said
    noise = np.random.default_rng(1).normal(0, 0.1, 2 * RATE)
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(2 * RATE) / RATE)
    for samples in (noise, tone, np.zeros(RATE), np.zeros(0)):
        assert memory.recognise(samples, RATE) == []
    assert Memory().recognise(noise, RATE) == []


def test_what_was_spoken_first_is_forgotten_first_and_what_is_said_again_is_kept() -> None:
    memory = Memory(most_bytes=100)
    for number in (1, 2, 1, 3):
        memory.remember(bytes([number]) * 40, "pcm_s16le", 8000, [])
    assert [spoken.audio[0] for spoken, _ in memory._all_pictures()] == [1, 3]
