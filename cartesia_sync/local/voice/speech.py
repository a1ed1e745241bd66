"""Text to sound: a voice speaks a sentence, and reports when each word and phoneme is heard.

There are two engines: eSpeak NG in a process of its own (``worker``), and a synthetic voice where that is not
available. ``Speaker`` hides which. It has as many of them as the machine has cores, each on a thread, and who needs
audio first is served first.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import importlib.util
import itertools
import json
import os
import re
import struct
import subprocess
import sys
import threading
import uuid
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Union

from . import sound
from .audio_format import AudioFormat
from .phonemes import STRESS_MARKS, espeak_names
from .timing import Timed, phoneme_times, word_times
from .transcript import Pause, Phrase

__all__ = ["LANGUAGES", "REGIONS", "Speaker", "SpeechError", "Spoken", "Voice", "choose_voice"]

# The service's languages: those that have the same name in eSpeak NG, and those that have another.
_SAME_NAME = (
    "ar", "bg", "bn", "cs", "da", "de", "el", "es", "fi", "fr", "gu", "he", "hi", "hr", "hu", "id", "it", "ja", "ka",
    "kn", "ko", "ml", "mr", "ms", "nl", "or", "pa", "pl", "ro", "ru", "sk", "sv", "ta", "te", "th", "tr", "uk", "ur",
    "vi",
)  # fmt: skip
LANGUAGES = {
    **{code: code for code in _SAME_NAME},
    "en": "en-us",
    "no": "nb",
    "pt": "pt-br",
    "tl": "ms",  # eSpeak NG has no Tagalog; Malay is the closest it has
    "zh": "cmn",
}
# The regions that eSpeak NG speaks in another way than the language alone. Any other sounds like its language.
REGIONS = {
    **dict.fromkeys(("en-AU", "en-GB", "en-IE", "en-IN", "en-NZ", "en-ZA"), "en"),
    **dict.fromkeys(("es-419", "es-AR", "es-CL", "es-CO", "es-MX", "es-PE", "es-US"), "es-419"),
    "fr-BE": "fr-be",
    "fr-CH": "fr-ch",
    "pt-PT": "pt",
}
_BY_CHARACTER = frozenset({"zh", "ja"})  # no spaces between words: the service times their characters

# The voices of the service's own examples, each with its own speaker.
_KNOWN_SPEAKERS = {
    uuid.UUID("6ccbfb76-1fc6-48f7-b71d-91ac6298247b"): "f2",
    uuid.UUID("a0e99841-438c-4a64-b679-ae501e7d6091"): "m3",
    uuid.UUID("694f9389-aac1-45b6-b726-9d9369183238"): "f3",
    uuid.UUID("f786b574-daa5-4673-aa0c-cbe3e8534c02"): "f1",
    uuid.UUID("9626c31c-bec5-4cca-baa8-f8ba9e84c8bc"): "f4",
    uuid.UUID("e07c00bc-4134-4eae-9ea4-1a55fb45746b"): "f5",
    uuid.UUID("228fca29-3a0a-435c-8728-5cb483251068"): "m1",
    uuid.UUID("5ee9feff-1265-424a-9d7f-8e4d431a12c7"): "m7",
}
# For all other voices. Variants whose output varies (the Klatt synthesizers) are left out.
_SPEAKERS = (
    *_KNOWN_SPEAKERS.values(),
    "m2", "m4", "m5", "m6", "Alex", "Andrea", "Annie", "anika", "linda", "steph",
)  # fmt: skip

_WORDS_A_MINUTE = 175
_UTTERANCES_A_PROCESS = 5000
_MOST_ENGINES = 16
# Leaves room for a volume above 1, and for higher peaks after resampling.
_HEADROOM = 0.8
_CLAUSE_ENDS = tuple(
    ".!?,;:\"')]\u2026\u201d\u2019\u00bb\u061f\u0964\u06d4\u3002\uff01\uff1f\uff0c\uff1b\uff1a\u300d\u300f\uff09"
)


class SpeechError(Exception):
    """The engine failed: the server's fault, not the text's."""


@dataclass(frozen=True)
class Voice:
    """Who speaks: eSpeak NG's language and variant, and whether words are timed by character."""

    language: str
    speaker: str
    by_character: bool = False

    @property
    def espeak_name(self) -> str:
        """Its name in eSpeak NG."""
        return f"{self.language}+{self.speaker}"


def choose_voice(voice_id: uuid.UUID, language: str) -> Voice:
    """Return the voice for an id: always the same one, and a different one for each id of the service's examples.

    Args:
        voice_id: Any UUID.
        language: One of ``LANGUAGES`` or ``REGIONS``.
    """
    speaker = _KNOWN_SPEAKERS.get(voice_id) or _SPEAKERS[voice_id.int % len(_SPEAKERS)]
    return Voice({**LANGUAGES, **REGIONS}[language], speaker, language in _BY_CHARACTER)


class Spoken(NamedTuple):
    """A spoken sentence: encoded audio, and when its words and phonemes are heard in it (seconds)."""

    audio: bytes
    seconds: float
    words: list[Timed]
    phonemes: list[Timed]


class _Utterance(NamedTuple):
    samples: sound.Samples
    words: list[Timed]
    phonemes: list[Timed]


class Speaker:
    """The voice of a whole server.

    Whose audio ends first is served first: a new text before those that have some seconds in hand, and those that have
    none left before a new one. So one text, however long, holds up no other for longer than a sentence takes.

    Args:
        engine: ``"espeak"``, ``"signal"``, or ``"auto"``: the first where it is available, else the second with a
            message on stderr, once a process.
        engines: How many sentences are spoken at a time; ``None`` for as many as there are cores.

    Raises:
        ImportError: ``"espeak"`` was asked for, and its package is not installed.
        ValueError: There is no such engine.

    Attributes:
        on_spoken: Called with what was spoken, in a speech thread: audio, its format, and the times of its words.

    Threads: ``speak`` belongs to an event loop; ``close`` may be called once, by any thread. Each engine starts with
    the first sentence for which no other is free.
    """

    def __init__(self, engine: str = "auto", engines: Optional[int] = None) -> None:
        if engine not in ("auto", "espeak", "signal"):
            raise ValueError(f"engine must be 'auto', 'espeak' or 'signal', not {engine!r}")
        folder = None if engine == "signal" else _espeak_folder()
        if engine == "espeak" and folder is None:
            raise ImportError("espeakng-loader is not installed: pip install 'cartesia-sync[local]'")
        if engine == "auto" and folder is None:
            _warn_once("espeakng-loader is not installed")
        self._may_fall_back = engine == "auto"
        self.on_spoken: Optional[Callable[[bytes, AudioFormat, Sequence[Timed]], None]] = None
        count = engines or min(_core_count(), _MOST_ENGINES)
        self._all_engines: tuple[_Engine, ...] = tuple(
            _SignalEngine() if folder is None else _EspeakEngine(folder) for _ in range(count)
        )
        # Those that are free, the last one that worked at the end: it is taken next, so that no more start than work.
        # A thread has one from its first step to its last, and there are as many of both; append and pop are atomic.
        self._engines: deque[_Engine] = deque(self._all_engines)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="cartesia-sync-local-speech")
        # The next sentence lies ready for a thread that ends, so that it need not wait for the loop.
        self._turns = _Turns(2 * count)

    async def speak(
        self,
        parts: Sequence[Union[Phrase, Pause]],
        voice: Voice,
        audio_format: AudioFormat,
        *,
        due: float = 0.0,
    ) -> Spoken:
        """Speak the parts of one sentence, one after the other. The same call returns the same bytes.

        Args:
            parts: Phrases and pauses.
            voice: Who speaks.
            audio_format: What is made of it.
            due: When its audio is needed, on the loop's clock. Who is due first is served first.

        Raises:
            SpeechError: The engine failed.
        """
        loop = asyncio.get_running_loop()
        await self._turns.take(due)
        try:
            return await loop.run_in_executor(self._threads, self._speak, parts, voice, audio_format)
        finally:
            self._turns.give()

    def close(self) -> None:
        """End the engines and their threads. Blocks for milliseconds, or until the current sentences are spoken."""
        # The processes first: that wakes the threads that are waiting for a response.
        for engine in self._all_engines:
            engine.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for engine in self._all_engines:
            engine.close()

    # ---- speech threads only

    def _speak(self, parts: Sequence[Union[Phrase, Pause]], voice: Voice, audio_format: AudioFormat) -> Spoken:
        engine = self._engines.pop()
        try:
            pieces: list[sound.Samples] = []
            words: list[Timed] = []
            phonemes: list[Timed] = []
            so_far = 0
            for part in parts:
                if isinstance(part, Pause):
                    piece = sound.silence(part.seconds)
                else:
                    try:
                        utterance = engine.speak(part, voice)
                    except _EngineMissingError as exc:
                        if not self._may_fall_back:
                            raise
                        _warn_once(str(exc))
                        engine.close()
                        engine = _SignalEngine()
                        utterance = engine.speak(part, voice)
                    piece = sound.amplify(utterance.samples, _HEADROOM * part.style.volume * part.style.volume_ratio)
                    words += [word.later(so_far / sound.RATE_HZ) for word in utterance.words]
                    phonemes += [phoneme.later(so_far / sound.RATE_HZ) for phoneme in utterance.phonemes]
                pieces.append(piece)
                so_far += len(piece)
        finally:
            self._engines.append(engine)
        samples = sound.resample(sound.join(pieces), audio_format.sample_rate_hz)
        audio = sound.encode(samples, audio_format.encoding)
        if self.on_spoken is not None:
            self.on_spoken(audio, audio_format, words)
        return Spoken(audio, len(samples) / audio_format.sample_rate_hz, words, phonemes)


class _Turns:
    """So many at a time, and of those who wait the one that is due first. Not thread-safe: the server's loop only."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []  # a heap
        self._numbers = itertools.count()  # who came first, of those that are due together

    async def take(self, due: float) -> None:
        """Wait for a turn."""
        if self._left > 0:
            self._left -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (due, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given in this very round
                self.give()
            raise

    def give(self) -> None:
        """Give a turn to the next one."""
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._left += 1


def _core_count() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_has_warned = False


def _warn_once(why: str) -> None:
    global _has_warned
    if not _has_warned:
        _has_warned = True
        print(f"cartesia_sync.local: no speech, only a speech-like signal ({why})", file=sys.stderr)


def _espeak_folder() -> Optional[Path]:
    """Return the folder of the package with eSpeak NG, which is not imported in this process."""
    spec = importlib.util.find_spec("espeakng_loader")
    return Path(spec.origin).parent.parent if spec is not None and spec.origin else None


# ---- eSpeak NG


# Control characters cannot be spoken, and a NUL would end the text; half a surrogate pair cannot be encoded.
_UNSPEAKABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class _EngineMissingError(SpeechError):
    """eSpeak NG is installed, but does not start."""


class _EspeakEngine:
    """eSpeak NG, behind a pipe.

    Threads: ``kill`` may be called by any; the rest belongs to the speech thread that has it, and after the end of all
    to the thread that closes.
    ``_process_lock`` guards ``_process`` and ``_killed``, so that no process is started after ``kill``.
    """

    _LENGTHS = struct.Struct(">II")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process_lock = threading.Lock()
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._killed = False
        self._spoken = 0

    def speak(self, part: Phrase, voice: Voice) -> _Utterance:
        # Each loading of the library leaks some 2 KB, so a new process takes over from time to time.
        self._spoken += 1
        if self._spoken % _UTTERANCES_A_PROCESS == 0:
            self.close()
        style = part.style
        text, places = _for_espeak(part, voice)
        request = {
            "text": _UNSPEAKABLE.sub(" ", text),
            "voice": voice.espeak_name,
            "rate": round(_WORDS_A_MINUTE * style.speed * style.speed_ratio),
            "pause": part.text.endswith(_CLAUSE_ENDS),
            "phonemes": bool(part.spans),
        }
        try:
            header, data = self._ask(request)
        except (OSError, EOFError):
            # It crashed. Try once more with a new process, and only once: the cause may be this text.
            self.close()
            try:
                header, data = self._ask(request)
            except (OSError, EOFError) as exc:
                self.close()
                raise SpeechError(f"the speech process died: {exc}") from exc
        if "error" in header:
            raise SpeechError(header["error"])
        rate_hz = header["sample_rate_hz"]
        samples = sound.from_int16(data)
        total = len(samples) / rate_hz
        phonemes = phoneme_times([(name, sample / rate_hz) for name, sample in header["phonemes"]], total)
        starts = [(places[min(offset, len(places) - 1)], sample / rate_hz) for offset, sample in header["words"]]
        words = word_times(part.text, starts, phonemes, total, by_character=voice.by_character)
        return _Utterance(samples, words, phonemes)

    def kill(self) -> None:
        """End the process and start no other. Wakes a thread that waits for its response."""
        with self._process_lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the process and free it; the next text starts another, unless ``kill`` was called."""
        with self._process_lock:
            process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()  # not for long: it has been killed
        for pipe in (process.stdin, process.stdout):
            # Closing stdin tries to flush its buffer.
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        process = self._process or self._start()
        assert process.stdin is not None
        data = json.dumps(request).encode()
        process.stdin.write(self._LENGTHS.pack(len(data), 0) + data)
        process.stdin.flush()
        return self._read(process)

    def _start(self) -> subprocess.Popen[bytes]:
        # Isolated and without the site module: it starts quickly, and no module of ours or of the user's can shadow the
        # standard library. In a session of its own, so that Ctrl-C in the terminal does not reach it.
        program = Path(__file__).with_name("worker.py")
        command = [sys.executable, "-I", "-S", str(program), str(self._folder)]
        with self._process_lock:
            if self._killed:
                raise SpeechError("the server has stopped")
            self._process = process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=os.name == "posix",
            )
        try:
            header, _ = self._read(process)
        except EOFError as exc:
            if self._killed:  # it did not end by itself
                raise SpeechError("the server has stopped") from exc
            raise _EngineMissingError(f"eSpeak NG's process ended at once ({exc})") from exc
        if "error" in header:
            raise _EngineMissingError(header["error"])
        return process

    def _read(self, process: subprocess.Popen[bytes]) -> tuple[dict[str, Any], bytes]:
        assert process.stdout is not None
        lengths = process.stdout.read(self._LENGTHS.size)
        if len(lengths) < self._LENGTHS.size:
            raise EOFError("end of its output")
        header_bytes, payload_bytes = self._LENGTHS.unpack(lengths)
        body = process.stdout.read(header_bytes + payload_bytes)
        if len(body) < header_bytes + payload_bytes:
            raise EOFError("end of its output in the middle of a message")
        return json.loads(body[:header_bytes]), body[header_bytes:]


def _for_espeak(part: Phrase, voice: Voice) -> tuple[str, Sequence[int]]:
    """Return a phrase's text with its phonemes as eSpeak NG takes them, and which place of the text each of its is."""
    if not part.spans:
        return part.text, range(len(part.text) + 1)
    text = ""
    places: list[int] = []
    done = 0
    for span in (*part.spans, None):
        # Brackets of the user's would be phonemes too.
        plain = part.text[done : span.start if span else None].replace("[", " ")
        text += plain
        places += range(done, done + len(plain))
        if span is not None:
            names = espeak_names(span.sounds, voice.language)
            sounds = f" [[{names}]] " if names else f" {part.text[span.start : span.end]} "
            if not text or not text[-1].isalnum():
                sounds = sounds[1:]
            if not part.text[span.end : span.end + 1].isalnum():
                sounds = sounds[:-1]
            text += sounds
            places += [span.start] * len(sounds)
            done = span.end
    return text, [*places, len(part.text)]


# ---- the synthetic voice


class _SignalEngine:
    """A vowel or a hiss for each letter: speech-like and timed correctly, but not intelligible."""

    _GAP_S = 0.06
    _PAUSE_S = 0.3

    def speak(self, part: Phrase, voice: Voice) -> _Utterance:
        speed = part.style.speed * part.style.speed_ratio
        # The female variants are f1 to f5; each speaker has its own pitch.
        base = 190 if voice.speaker.startswith("f") else 110
        pitch_hz = base + 4.0 * (sum(voice.speaker.encode()) % 12)
        pieces: list[sound.Samples] = []
        starts: list[tuple[int, float]] = []
        letters: list[tuple[str, float]] = []
        so_far = 0
        for word in re.finditer(r"\S+", part.text):
            sounds = _sounds_of(part, *word.span())
            samples, names = sound.speech_like(sounds, pitch_hz=pitch_hz, speed=speed)
            begin = so_far / sound.RATE_HZ
            starts.append((word.start(), begin))
            letters += [(name, begin + start) for name, start in names]
            gap = sound.silence(self._GAP_S / speed)
            letters.append(("", begin + len(samples) / sound.RATE_HZ))
            pieces += [samples, gap]
            so_far += len(samples) + len(gap)
        if part.text.endswith(_CLAUSE_ENDS):
            pieces.append(sound.silence(self._PAUSE_S / speed))
        samples = sound.join(pieces)
        total = len(samples) / sound.RATE_HZ
        phonemes = phoneme_times(letters, total)
        words = word_times(part.text, starts, phonemes, total, by_character=voice.by_character)
        return _Utterance(samples, words, phonemes)

    def kill(self) -> None:
        """Nothing to end."""

    def close(self) -> None:
        """Nothing to free."""


_Engine = Union[_EspeakEngine, _SignalEngine]


def _sounds_of(part: Phrase, start: int, end: int) -> list[str]:
    """Return the sounds of a stretch of a phrase's text: its letters or, where it stands for phonemes, those."""
    sounds: list[str] = []
    for span in [span for span in part.spans if span.start < end and start < span.end]:
        sounds += part.text[start : span.start].lower()
        sounds += (sound.strip("".join(STRESS_MARKS)) for sound in span.sounds)
        start = span.end
    return [*sounds, *part.text[start:end].lower()]
