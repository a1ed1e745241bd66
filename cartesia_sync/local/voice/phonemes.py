"""Phonemes in a transcript, ``<<m|aɪ>>``: found there, and named as eSpeak NG names them.

Pure. The service takes signs of the IPA, a word in double angle brackets, its sounds separated by bars
(docs.cartesia.ai, "IPA Phonemes"). A stress mark stands alone or with a sound, before its syllable or its vowel. eSpeak
NG has names of its own for the sounds of a language, takes them in double square brackets, and leaves out a sound that
the language does not have; so those that many languages lack are replaced by their neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["PHONEMES", "STRESS_MARKS", "espeak_names", "sounds_of"]

PHONEMES = re.compile(r"<<([^<>\s]+)>>")
STRESS_MARKS = {"ˈ": "'", "ˌ": ","}

_VOWELS = frozenset("aeiouyæøœɐɑɒɔəɚɛɜɝɞɤɨɪɯɵʉʊʌʏ")

_CONSONANTS = {
    **{sign: sign for sign in "bdfhjklmnpqrstvwxz"},
    "ç": "C", "ð": "D", "ŋ": "N", "ɕ": "S;", "ɡ": "g", "g": "g", "ɣ": "Q", "ɫ": "l", "ɲ": "n^", "ɹ": "r", "ɾ": "*",
    "ʀ": "r", "ʁ": "r", "ʂ": "s.", "ʃ": "S", "ʎ": "l^", "ʐ": "z.", "ʒ": "Z", "ʔ": "?", "β": "B", "θ": "T", "χ": "X",
    "dʒ": "dZ", "tʃ": "tS", "c": "k", "ɟ": "g", "ɥ": "j", "ʋ": "v",
}  # fmt: skip
_ENGLISH = {
    **_CONSONANTS,
    "a": "a", "aɪ": "aI", "aʊ": "aU", "e": "E", "eɪ": "eI", "i": "i:", "o": "oU", "oʊ": "oU", "u": "u:", "y": "u:",
    "æ": "a", "ø": "3:", "œ": "3:", "ɐ": "V", "ɑ": "A:", "ɒ": "A:", "ɔ": "O:", "ɔɪ": "OI", "ə": "@", "əʊ": "oU",
    "ɚ": "3", "ɛ": "E", "ɜ": "3:", "ɝ": "3:", "ɨ": "I", "ɪ": "I", "ɯ": "u:", "ʉ": "u:", "ʊ": "U", "ʌ": "V",
}  # fmt: skip
_OTHERS = {
    **_CONSONANTS,
    "a": "a", "aɪ": "aI", "aʊ": "a|u", "e": "e", "eɪ": "eI", "i": "i:", "o": "o", "oʊ": "o|u", "u": "u:", "y": "y",
    "æ": "a", "ø": "Y:", "œ": "W", "ɐ": "a", "ɑ": "a", "ɒ": "O", "ɔ": "O", "ɔɪ": "O|i", "ə": "@", "əʊ": "o|u",
    "ɚ": "@|r", "ɛ": "E", "ɜ": "@", "ɝ": "@|r", "ɨ": "i", "ɪ": "i", "ɯ": "u", "ʉ": "u", "ʊ": "u", "ʌ": "a",
}  # fmt: skip


def sounds_of(inside: str) -> tuple[str, ...]:
    """Return what stands between the bars of a word; stress marks that stand alone are among them."""
    return tuple(filter(None, inside.split("|")))


def espeak_names(sounds: Sequence[str], language: str) -> str:
    """Return eSpeak NG's names for a word's sounds, as they stand in double square brackets; "" if none is known.

    Args:
        sounds: As ``sounds_of`` returns them.
        language: eSpeak NG's name of the language.
    """
    known = _ENGLISH if language.partition("-")[0] == "en" else _OTHERS
    names: list[str] = []
    stress = ""
    for sound in sounds:
        signs = sound.replace("\u0361", "")  # a tie over two letters
        while signs:
            sign = signs[:2] if signs[:2] in known else signs[:1]
            signs = signs[len(sign) :]
            if sign in STRESS_MARKS:
                stress = STRESS_MARKS[sign]
            elif sign in known:
                # eSpeak NG's mark stands before the vowel.
                is_vowel = sign[0] in _VOWELS
                names.append(stress + known[sign] if is_vowel else known[sign])
                stress = "" if is_vowel else stress
    return "|".join(names)
