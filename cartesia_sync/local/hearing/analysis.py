"""Sound as it is compared: bytes to samples, samples to a picture of 10 ms by 10 ms, and where one lies in another.

The one file of this room that uses numpy.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Optional

import numpy as np

from ..voice import companding, sound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float64]
    Picture = NDArray[np.float32]

__all__ = [
    "ENCODINGS",
    "FRAMES_A_SECOND",
    "Found",
    "decode",
    "find",
    "from_wav",
    "is_loud",
    "join",
    "picture",
    "silent_gap",
]

ENCODINGS = {"pcm_s16le": 2, "pcm_s32le": 4, "pcm_f16le": 2, "pcm_f32le": 4, "pcm_mulaw": 1, "pcm_alaw": 1}
FRAMES_A_SECOND = 100

_WAV_ENCODINGS = {(3, 32): "pcm_f32le", (6, 8): "pcm_alaw", (7, 8): "pcm_mulaw"}
"""By the format's tag and the bits of a sample; integers are read by ``sound``."""

_RATE_HZ = 8000  # the lowest that the service has: what all of them hold is compared
_HOP, _WINDOW = _RATE_HZ // FRAMES_A_SECOND, 256
_BANDS_HZ = (150, 300, 450, 620, 820, 1060, 1340, 1680, 2080, 2560, 3100, 3600)
_FLOOR = 1e-5  # the power below which it is silence, so that what telephone encodings add does not count
_LOUD_RMS = 0.004
_WINDOWS = (60, 40, 24, 14, 9)  # frames that are looked for at once; shorter ones where the sound is cut
_ENOUGH = {60: 0.93, 40: 0.93, 24: 0.94, 14: 0.95, 9: 0.96}
_LOCAL, _LOCAL_ENOUGH = 9, 0.8  # frames that are compared to see how far two sounds agree


def decode(audio: bytes, encoding: str) -> Samples:
    """Return bare samples, -1 to 1; what is left over at the end is dropped."""
    audio = audio[: len(audio) - len(audio) % ENCODINGS[encoding]]
    if encoding in ("pcm_mulaw", "pcm_alaw"):
        return _expansion(encoding)[np.frombuffer(audio, np.uint8)]
    if encoding in ("pcm_f16le", "pcm_f32le"):
        floats = np.frombuffer(audio, "<f2" if encoding == "pcm_f16le" else "<f4").astype(np.float64)
        return np.clip(np.nan_to_num(floats), -1.0, 1.0)
    width = ENCODINGS[encoding]
    return np.frombuffer(audio, f"<i{width}") / 2.0 ** (8 * width - 1)


def from_wav(data: bytes) -> tuple[Samples, int]:
    """Return samples and their rate in Hz from a WAV file of integers, floats or G.711; channels are averaged.

    Raises:
        ValueError: It is not such a file.
    """
    at = data.find(b"fmt ", 12, 4096)
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE" or at < 0 or len(data) < at + 24:
        return sound.from_wav(data)  # which says what it is not
    tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", data, at + 8)
    encoding = _WAV_ENCODINGS.get((tag, bits))
    if encoding is None:
        return sound.from_wav(data)
    begin = data.find(b"data", at + 24)
    if begin < 0 or not channels or not 4000 <= rate_hz <= 192_000:
        raise ValueError("the audio is no WAV file with audio at 4,000 to 192,000 Hz")
    (length,) = struct.unpack_from("<I", data.ljust(begin + 8, b"\0"), begin + 4)
    samples = decode(data[begin + 8 : begin + 8 + length], encoding)
    return samples[: len(samples) - len(samples) % channels].reshape(-1, channels).mean(axis=1), rate_hz


@cache
def _expansion(encoding: str) -> Samples:
    """Return the sample of each code: the middle of all that are encoded so."""
    table = companding.mulaw_table() if encoding == "pcm_mulaw" else companding.alaw_table()
    codes = np.frombuffer(table, np.uint8)
    samples = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.float64)
    sums, counts = np.bincount(codes, samples, 256), np.bincount(codes, minlength=256)
    expanded: Samples = sums / np.maximum(counts, 1) / 32768.0
    return expanded


def is_loud(samples: Samples, rate_hz: int) -> list[bool]:
    """Return for each 10 ms whether anything is heard; what is left over at the end is not looked at."""
    hop = rate_hz / FRAMES_A_SECOND
    edges = np.rint(np.arange(int(len(samples) / hop) + 1) * hop).astype(int)
    if len(edges) < 2:
        return []
    power = np.add.reduceat(samples[: edges[-1]] ** 2, edges[:-1]) / np.diff(edges)
    loud: list[bool] = (np.sqrt(power) > _LOUD_RMS).tolist()
    return loud


def picture(samples: Samples, rate_hz: int) -> Picture:
    """Return the loudness of each band in each 10 ms, shape (frames, bands): 0 is silence."""
    at_8k = sound.resample(samples, _RATE_HZ, rate_hz)
    count = len(at_8k) // _HOP
    if not count:
        return np.zeros((0, len(_BANDS_HZ) - 1), np.float32)
    padded = np.concatenate((np.zeros((_WINDOW - _HOP) // 2), at_8k, np.zeros(_WINDOW)))
    starts = np.arange(count)[:, None] * _HOP + np.arange(_WINDOW)
    spectrum = np.abs(np.fft.rfft(padded[starts] * np.hanning(_WINDOW), axis=1)) ** 2 / _WINDOW**2
    edges = [round(hz * _WINDOW / _RATE_HZ) for hz in _BANDS_HZ]
    bands = np.add.reduceat(spectrum, edges, axis=1)[:, :-1]
    pictured: Picture = np.log10(bands / _FLOOR + 1.0).astype(np.float32)
    return pictured


def silent_gap(pictured: Picture) -> Picture:
    """Return so much silence that nothing is found across it."""
    return np.zeros((_WINDOWS[0], pictured.shape[1]), np.float32)


def join(pictures: list[Picture]) -> Picture:
    """Return pictures one after the other."""
    return np.concatenate(pictures)


class Found(NamedTuple):
    """A stretch of what was heard that agrees with a stretch of what is known, in frames."""

    heard: int
    known: int
    length: int


def find(heard: Picture, known: Picture) -> list[Found]:
    """Return what of the known is in the heard, stretch by stretch, in the order in which it is heard."""
    found: list[Found] = []
    if not len(known):
        return found
    level = known[known.sum(axis=1) > 0].mean(axis=0) if known.any() else np.zeros(known.shape[1], np.float32)
    ours, theirs = heard - level, known - level
    loud = heard.max(axis=1) > 0.3
    power = np.concatenate(([0.0], np.cumsum((theirs.astype(np.float64) ** 2).sum(axis=1))))
    at = 0
    while True:
        ahead = np.flatnonzero(loud[at:])
        if not len(ahead):
            return found
        at += int(ahead[0])
        place = _place(ours[at:], theirs, power)
        if place is None:
            at += 3
            continue
        length = _agreement(ours[at:], theirs[place:], loud[at:])
        found.append(Found(at, place, length))
        at += max(length, 1)


def _place(ours: Picture, theirs: Picture, power: Samples) -> Optional[int]:
    """Return where the beginning of ours lies in theirs; None where it does not."""
    for size in _WINDOWS:
        if size > len(ours) and size != _WINDOWS[-1]:
            continue
        window = ours[:size]
        size = len(window)
        if size < _WINDOWS[-1] - 2 or size > len(theirs):
            continue
        products = theirs @ window.T
        count = len(theirs) - size + 1
        sums = np.zeros(count, np.float64)
        for row in range(size):
            sums += products[row : row + count, row]
        norms = np.sqrt((power[size:] - power[:-size]) * float((window.astype(np.float64) ** 2).sum()))
        scores = sums / np.maximum(norms, 1e-9)
        best = int(np.argmax(scores))
        if scores[best] >= _ENOUGH.get(size, _ENOUGH[_WINDOWS[-1]]):
            return best
    return None


def _agreement(ours: Picture, theirs: Picture, loud: NDArray[np.bool_]) -> int:
    """Return for how many frames two sounds that begin together stay together."""
    size = min(len(ours), len(theirs))
    both, one, other = (
        _sliding(each) for each in ((ours[:size] * theirs[:size]), ours[:size] ** 2, theirs[:size] ** 2)
    )
    alike = both / np.maximum(np.sqrt(one * other), 1e-9) >= _LOCAL_ENOUGH
    apart = np.flatnonzero(~alike)
    # A window that does not agree any more begins before the place where they part.
    return size if not len(apart) else min(size, int(apart[0]) + 6)


def _sliding(frames: Picture) -> Samples:
    sums = np.concatenate(([0.0], np.cumsum(frames.sum(axis=1, dtype=np.float64))))
    size = min(_LOCAL, len(frames))
    slid: Samples = sums[size:] - sums[:-size] if size else np.zeros(0)
    return slid
