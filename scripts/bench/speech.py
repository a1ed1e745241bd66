"""What is done with speech that has come: one turn of it, printed as JSON. Run by ``__main__.py``.

The names: ``mp3_ratio``, CPU time of encoding chunk by chunk to that of soundfile, given the whole; ``captions_s``, CPU
time for one hour of speech, from the service's words to the cues; ``queue_ms``, from a chunk that is there to the queue
that the device takes from; ``frame_us``, CPU time of ``frames_of`` for a frame, over that of bare slices, with the
words of the speech in them (``frame_words_us``) and without; ``book_mib``, the memory that 500,000 characters take, and
``book_s``; ``size_kib`` and ``save_ms`` of one text in each kind of file.
"""

from __future__ import annotations

import io
import json
import queue
import resource
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from cartesia_sync.audio.encoders import EncodedWriter, writer
from cartesia_sync.audio.framing import SampleFramer
from cartesia_sync.audio.kinds import SOUNDS
from cartesia_sync.protocol.events import Chunk, Done, Event, Timestamps, WordTimestamps
from cartesia_sync.protocol.formats import RawFormat
from cartesia_sync.speech.captions import captions_of
from cartesia_sync.speech.frames import frames_of
from cartesia_sync.speech.joining import Joiner, pieces_of
from cartesia_sync.speech.player import Player
from cartesia_sync.speech.recording import Recording, Source
from cartesia_sync.speech.words import Entry, Word, align

STUDIO, TELEPHONE = RawFormat("pcm_s16le", 44100), RawFormat("pcm_mulaw", 8000)
SENTENCE = "It was the best of times, it was the worst of times, and nobody knew which one it was. "
WORDS_A_SECOND = 2.8
CHUNK_BYTES = 4096


def main() -> None:
    share = float(sys.argv[1])
    found: dict[str, float] = {}
    for part in (book, mp3, captions, playback, frames, kinds):  # the book first, whose memory is then the most
        found.update(part(share))
    print(json.dumps(found))


def voice(seconds: float, fmt: RawFormat) -> bytes:
    """Make something that sounds for an encoder as speech does: a tone with overtones, in syllables."""
    times = np.arange(int(seconds * fmt.sample_rate)) / fmt.sample_rate
    tone = sum(np.sin(2 * np.pi * 120 * harmonic * times) / harmonic for harmonic in range(1, 12))
    samples = 0.2 * tone * np.clip(np.sin(2 * np.pi * 2 * times), 0, 1)
    if fmt.encoding == "pcm_s16le":
        return (samples * 32767).astype("<i2").tobytes()
    return ((samples * 127).astype(np.int8).view(np.uint8)).tobytes()  # what it sounds like is all the same


def entries(text: str) -> list[Entry]:
    tokens = text.split()
    return [Entry(token, at / WORDS_A_SECOND, (at + 0.9) / WORDS_A_SECOND) for at, token in enumerate(tokens)]


def mp3(share: float) -> dict[str, float]:
    audio = voice(60 * share + 1, STUDIO)
    integers = np.frombuffer(audio, "<i2")
    chunks = [audio[at : at + CHUNK_BYTES] for at in range(0, len(audio), CHUNK_BYTES)]
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp3"
        for _ in range(5):
            begun = time.process_time()
            with EncodedWriter(path, "mp3", STUDIO) as file:
                for chunk in chunks:
                    file.write(chunk)
            ours.append(time.process_time() - begun)
            begun = time.process_time()
            soundfile.write(path, integers, STUDIO.sample_rate)
            bare.append(time.process_time() - begun)
    return {"mp3_ratio": min(ours) / min(bare)}


def recording_of(events: list[Event], transcript: str, fmt: RawFormat) -> Recording:
    source = Source("a", lambda: [transcript], lambda: None, lambda: fmt, lambda audio_bytes, last: None)
    return Recording(lambda: iter(events), source)


def captions(share: float) -> dict[str, float]:
    words = int(3600 * WORDS_A_SECOND * share) + 100
    sentences = words // len(SENTENCE.split())
    text = "\n\n".join([SENTENCE * 10] * max(sentences // 10, 1))
    named = entries(text)
    events: list[Event] = [
        Timestamps(
            context_id="a",
            word_timestamps=WordTimestamps(
                words=[each.text for each in part], start=[each.start for each in part], end=[each.end for each in part]
            ),
        )
        for part in (named[at : at + 5] for at in range(0, len(named), 5))
    ]
    recording = recording_of([*events, Done(context_id="a")], text, TELEPHONE)
    for _ in recording:
        pass
    begun = time.process_time()
    cues = recording.captions()
    cut = time.process_time() - begun
    cues.content("srt")
    return {"captions_s": cut, "captions_and_srt_s": time.process_time() - begun}


class Watched(deque[bytes]):
    """Knows when each block was put."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def append(self, block: bytes) -> None:
        super().append(block)
        self.times.append(time.perf_counter())


class Idle:
    """A device that asks for nothing."""

    buffer_frames = 1000

    def start(self, fill: Any, lost: Any) -> None:
        fill(self.buffer_frames)

    def close(self) -> None:
        pass


def playback(share: float) -> dict[str, float]:
    chunk, count = bytes(CHUNK_BYTES), int(400 * share) + 20
    come: queue.SimpleQueue[bytes] = queue.SimpleQueue()  # as a mailbox is
    times: list[float] = []
    with Player(lambda sample_rate: Idle()) as player:
        speech = player.play(
            iter(come.get, b""),
            output_format={"container": "raw", "encoding": STUDIO.encoding, "sample_rate": STUDIO.sample_rate},
        )
        come.put(chunk)  # numpy is loaded with the first one
        watched = Watched()
        time.sleep(0.2)
        speech._blocks = watched
        for _ in range(count):
            times.append(time.perf_counter())
            come.put(chunk)
            time.sleep(0.005)
        come.put(b"")
        time.sleep(0.1)
    delays = sorted(1e3 * (put - came) for came, put in zip(times, watched.times))
    return {"queue_ms": statistics.median(delays), "queue_p99_ms": delays[int(0.99 * len(delays))]}


def frames(share: float) -> dict[str, float]:
    audio = voice(600 * share + 10, TELEPHONE)
    framer, events, named = SampleFramer(), list[Event](), list[Event]()
    spoken = entries(SENTENCE * (len(audio) // 8000 // 6 + 1))
    for at in range(0, len(audio), 1600):
        chunk = Chunk(context_id="a", audio=audio[at : at + 1600])
        framer.attach(chunk, TELEPHONE)
        events.append(chunk)
        while spoken and spoken[0].start < at / 8000:
            word = spoken.pop(0)
            times = WordTimestamps(words=[word.text], start=[word.start], end=[word.end])
            named.append(Timestamps(context_id="a", word_timestamps=times))
        named.append(chunk)
    count = len(audio) // 160

    def cost(of: Any) -> float:
        taken = []
        for _ in range(5):
            begun = time.process_time()
            deque(of(), maxlen=0)
            taken.append(time.process_time() - begun)
        return 1e6 * min(taken) / count

    def slices() -> Iterator[bytes]:
        return (
            chunk.audio[at : at + 160] for chunk in events if isinstance(chunk, Chunk) for at in range(0, 1600, 160)
        )

    bare = cost(slices)
    return {
        "frame_us": cost(lambda: frames_of(events)) - bare,
        "frame_words_us": cost(lambda: frames_of(named)) - bare,
        "slice_us": bare,
    }


def book(share: float) -> dict[str, float]:
    text = "\n\n".join([SENTENCE * 11] * (int(500_000 * share) // (len(SENTENCE) * 11) + 1))
    second = bytes(TELEPHONE.sample_rate)
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        with Joiner(text, Path(folder) / "a.wav", captions=Path(folder) / "a.srt") as joiner:
            for piece in pieces_of(text):
                words: tuple[Word, ...] = align(piece.text, entries(piece.text))[0]
                seconds = round(words[-1].end) + 1
                joiner.add(piece, (second for _ in range(seconds)), TELEPHONE, words)
        taken = time.perf_counter() - begun
        size = (Path(folder) / "a.wav").stat().st_size
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"book_s": taken, "book_mib": held / 1024 + 0.001, "book_audio_mib": size / 2**20}


def kinds(share: float) -> dict[str, float]:
    fmt = RawFormat("pcm_s16le", 48000)
    audio, found = voice(10, fmt), dict[str, float]()
    for kind in dict.fromkeys(SOUNDS.values()):
        target = io.BytesIO()
        begun = time.perf_counter()
        with writer(target, kind, fmt) as file:
            for at in range(0, len(audio), CHUNK_BYTES):
                file.write(audio[at : at + CHUNK_BYTES])
        found[f"{kind}_save_ms"] = 1e3 * (time.perf_counter() - begun)
        found[f"{kind}_size_kib"] = len(target.getvalue()) / 1024
    text = SENTENCE * 10
    cues = captions_of(align(text, entries(text))[0], text)
    for kind in ("srt", "vtt", "ass", "json"):
        begun = time.perf_counter()
        content = cues.content(kind)
        found[f"{kind}_save_ms"] = 1e3 * (time.perf_counter() - begun)
        found[f"{kind}_size_kib"] = len(content) / 1024
    return found


if __name__ == "__main__":
    main()
