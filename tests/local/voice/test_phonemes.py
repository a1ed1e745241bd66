from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator

import pytest

from cartesia_sync.local.voice.audio_format import AudioFormat
from cartesia_sync.local.voice.phonemes import espeak_names, sounds_of
from cartesia_sync.local.voice.speech import LANGUAGES, Speaker, Spoken, Voice
from cartesia_sync.local.voice.transcript import Phrase, Style, read_tags

# The service's table for English (docs.cartesia.ai, "IPA Phonemes"), and what eSpeak NG reports when it speaks that.
ENGLISH = {
    "m|aɪ": "maɪ",
    "n|aʊ": "naʊ",
    "b|ɛ|d": "bɛd",
    "d|u": "duː",
    "dʒ|i|n|z": "dʒiːnz",
    "d|eɪ": "deɪ",
    "f|ɪ|ʃ": "fɪʃ",
    "h|æ|t": "hæt",
    "j|ɛ|s": "jɛs",
    "k|i": "kiː",
    "l|ɪ|p": "lɪp",
    "ɡ|oʊ": "ɡoʊ",
    "t|ɑ|p": "tɑːp",
    "tʃ|ɝ|tʃ": "tʃɜːtʃ",
    "v|æ|n": "væn",
    "w|i": "wiː",
    "ð|ɪ|s": "ðɪs",
    "s|ɪ|ŋ": "sɪŋ",
    "l|ɔ": "lɔː",
    "b|ɔɪ": "bɔɪ",
    "ˈ|s|oʊ|f|ə": "soʊfə",
    "ɹ|ɛ|d": "rɛd",
    "b|ʊ|k": "bʊk",
    "ˈ|v|ɪ|ʒ|ə|n": "vɪʒən",
    "ə|ˈ|m|ɛ|ɹ|ɪ|k|ə": "əmɛrɪkə",
    "ˈ|t|ɛ|l|ə|ˌ|v|ɪ|ʒ|ə|n": "tɛləvɪʒən",
    "θ|ɪ|n": "θɪn",
}


@pytest.fixture(scope="module")
def espeak() -> Iterator[Speaker]:
    if importlib.util.find_spec("espeakng_loader") is None:
        pytest.skip("no eSpeak NG for this machine")
    made = Speaker("espeak")
    yield made
    made.close()


def say(speaker: Speaker, text: str, language: str = "en-us") -> Spoken:
    parts, _ = read_tags(text, Style())
    return asyncio.run(speaker.speak(parts, Voice(language, "f2"), AudioFormat("pcm_s16le", 22050)))


def heard(spoken: Spoken) -> str:
    """The phonemes that eSpeak NG reports, without stress; it has two names for an R."""
    signs = "".join(phoneme.text for phoneme in spoken.phonemes)
    return signs.translate({ord("ˈ"): None, ord("ˌ"): None, ord("ɹ"): "r"})


@pytest.mark.parametrize(("sounds", "expected"), ENGLISH.items())
def test_each_sound_of_the_services_table_is_spoken(espeak: Speaker, sounds: str, expected: str) -> None:
    assert heard(say(espeak, f"<<{sounds}>>.")) == expected


@pytest.mark.parametrize("language", sorted(set(LANGUAGES.values())))
def test_other_languages_speak_what_they_have(espeak: Speaker, language: str) -> None:
    spoken = say(espeak, "<<m|a>> <<t|i>>.", language)
    assert spoken.seconds > 0.2
    assert {"m", "t"} <= set(heard(spoken))
    assert set(heard(spoken)) & set("aäæɐɑ")


@pytest.mark.parametrize("engine", ["espeak", "signal"])
def test_phonemes_are_spoken_among_words_and_timed_as_words(engine: str, request: pytest.FixtureRequest) -> None:
    if engine == "espeak":
        speaker = request.getfixturevalue("espeak")
    else:
        speaker = Speaker("signal")
        request.addfinalizer(speaker.close)
    spoken = say(speaker, "Say [x] <<m|aɪ>>, un<<d|ˈu>>ing [[now]].")
    words = [word.text for word in spoken.words]
    assert words == ["Say", "[x]", "maɪ,", "un", "du", "ing", "[[now]]."]
    assert all(word.start < word.end for word in spoken.words)
    assert all(first.end <= second.start for first, second in zip(spoken.words, spoken.words[1:]))
    said = [phoneme.text.strip("ˈ") for phoneme in spoken.phonemes]
    at = said.index("aɪ")
    assert said[at - 1 : at + 1] == ["m", "aɪ"]
    my = spoken.words[2]
    assert my.start <= spoken.phonemes[at - 1].start < spoken.phonemes[at].end <= my.end + 0.01


def test_phonemes_are_not_their_letters(espeak: Speaker) -> None:
    letters = Phrase("maɪ", Style())
    read = asyncio.run(espeak.speak([letters], Voice("en-us", "f2"), AudioFormat("pcm_s16le", 22050)))
    assert say(espeak, "<<m|aɪ>>").audio != read.audio


@pytest.mark.parametrize(
    ("inside", "language", "names"),
    [
        ("ˈ|b|ɑ|ˈ|j|u", "en-us", "b|'A:|j|'u:"),
        ("h|ɑː|l|ˈə|p|eɪ|n|y|ˌoʊ|", "en-us", "h|A:|l|'@|p|eI|n|u:|,oU"),
        ("t͡ʃ|ɹ", "de", "tS|r"),
        ("maɪ", "en-us", "m|aI"),
        ("ø", "de", "Y:"),
        ("!|]]|0", "en-us", ""),
        ("k|]]|æ", "en-us", "k|a"),
    ],
)
def test_the_names_are_those_of_espeak_ng(inside: str, language: str, names: str) -> None:
    assert espeak_names(sounds_of(inside), language) == names


def test_what_is_no_sound_is_read_as_text(espeak: Speaker) -> None:
    assert say(espeak, "<<7>>.").audio == say(espeak, "7.").audio
