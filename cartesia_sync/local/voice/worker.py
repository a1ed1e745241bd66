"""The process that loads eSpeak NG, and nothing else of ours: text comes in, samples and times go out.

It is a program of its own for two reasons. eSpeak NG is under the GPL: it shares no process with the rest. And it has
global state, is not thread-safe, and is not deterministic when reused, so it is loaded afresh for each utterance (a few
milliseconds), and a crash in it ends this process only.

Messages, both ways, on stdin and stdout: two lengths (big-endian, 32 bits each), a JSON header, a payload.

    request:  {"text", "voice", "rate" (words a minute), "pause" (leave a clause's pause at the end),
               "phonemes" (what stands in double square brackets is phonemes)},
               no payload
    response: {"sample_rate_hz", "words": [[offset, sample], ...], "phonemes": [[ipa, sample], ...]}, 16-bit samples
              or {"error": text}, no payload

``offset`` counts code points of the text from 0, ``sample`` is where the word or phoneme starts. A phoneme with an
empty name is a pause. The first message comes without a request and shows whether the library works: {"ready": true} or
an error.

Started by ``speech`` with its path and the folder of the package ``espeakng_loader``. Ends when stdin does.
Uses the standard library only; leaves no file behind.
"""

from __future__ import annotations

import _ctypes
import ctypes
import json
import os
import signal
import struct
import sys
from typing import Any, BinaryIO

__all__ = ["main"]

LENGTHS = struct.Struct(">II")

# The names are those of speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS = 0x0001
_INITIALIZE_PHONEME_IPA = 0x0002
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 0x1
_PHONEMES = 0x100
_ENDPAUSE = 0x1000
_POS_CHARACTER = 1
_RATE = 1
_EVENT_LIST_TERMINATED, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_BUFFER_MS = 60


class _EventId(ctypes.Union):
    # Unsigned bytes: an array of c_char would be read as a string and checked as one.
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_ubyte * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _RefusedError(Exception):
    """The library refused."""


def _speak(library_path: str, text: str, voice: str, rate: int, flags: int) -> tuple[dict[str, Any], bytes]:
    """Load the library, speak one text, and unload it. The working directory is the library's data folder."""
    library = ctypes.CDLL(library_path)
    try:
        options = _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_PHONEME_IPA | _INITIALIZE_DONT_EXIT
        sample_rate_hz = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, b".", options)
        if sample_rate_hz <= 0:
            raise _RefusedError(f"espeak_Initialize answered {sample_rate_hz}")
        try:
            # Some phonemes contain noise; with the same seed it is the same noise.
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))
            # If this fails, the previous voice is still set.
            if library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise _RefusedError(f"no voice {voice!r}")
            library.espeak_SetParameter(_RATE, rate, 0)
            return _synthesize(library, text, flags, sample_rate_hz)
        finally:
            library.espeak_Terminate()
    finally:
        handle = library._handle
        del library
        if sys.platform == "win32":
            _ctypes.FreeLibrary(handle)
        else:
            _ctypes.dlclose(handle)


def _synthesize(library: ctypes.CDLL, text: str, flags: int, sample_rate_hz: int) -> tuple[dict[str, Any], bytes]:
    samples = bytearray()
    words: list[tuple[int, int]] = []
    phonemes: list[tuple[str, int]] = []

    def receive(wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            samples.extend(ctypes.string_at(wave, 2 * count))
        index = 0
        while events[index].type != _EVENT_LIST_TERMINATED:
            event = events[index]
            if event.type == _EVENT_WORD:
                words.append((event.text_position - 1, event.sample))
            elif event.type == _EVENT_PHONEME:
                name = bytes(event.id.string).partition(b"\0")[0]
                phonemes.append((name.decode("utf-8", "ignore"), event.sample))
            index += 1
        return 0  # 1 would abort

    callback = _Callback(receive)  # this reference keeps it alive until the synthesis is over
    library.espeak_SetSynthCallback(callback)
    data = text.encode()
    size, encoding = ctypes.c_size_t(len(data) + 1), _CHARS_UTF8
    answer = library.espeak_Synth(data, size, 0, _POS_CHARACTER, 0, encoding | flags, None, None)
    if answer != 0:
        raise _RefusedError(f"espeak_Synth answered {answer}")
    return {"sample_rate_hz": sample_rate_hz, "words": words, "phonemes": phonemes}, bytes(samples)


def _send(out: BinaryIO, header: dict[str, Any], payload: bytes = b"") -> None:
    data = json.dumps(header).encode()
    out.write(LENGTHS.pack(len(data), len(payload)) + data + payload)
    out.flush()


def _serve(inward: BinaryIO, out: BinaryIO) -> None:
    """Answer until stdin ends."""
    try:
        import espeakng_loader

        library_path = espeakng_loader.get_library_path()
        # The data is found from the working directory as ".": eSpeak NG refuses paths of 160 bytes and more.
        os.chdir(espeakng_loader.get_data_path())
        _speak(library_path, "a", "en-us", 175, 0)
    except Exception as exc:  # anything may be wrong with the library; the parent gets the message
        _send(out, {"error": f"{type(exc).__name__}: {exc}"})
        return
    _send(out, {"ready": True})
    while True:
        lengths = inward.read(LENGTHS.size)
        if len(lengths) < LENGTHS.size:
            return
        request = json.loads(inward.read(LENGTHS.unpack(lengths)[0]))
        try:
            flags = (_ENDPAUSE if request["pause"] else 0) | (_PHONEMES if request["phonemes"] else 0)
            header, samples = _speak(library_path, request["text"], request["voice"], request["rate"], flags)
        except Exception as exc:  # one text must not affect the others; the parent gets the message
            header, samples = {"error": f"{type(exc).__name__}: {exc}"}, b""
        _send(out, header, samples)


def main(arguments: list[str]) -> int:
    """Serve the parent process on stdin and stdout.

    Args:
        arguments: The folder of the package ``espeakng_loader``, if it is not on the path anyway.
    """
    # The parent handles Ctrl-C: it closes our stdin when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path.extend(arguments)
    # The library may print; that must not mix with our messages.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        _serve(sys.stdin.buffer, out)
        out.close()
    except BrokenPipeError:
        # The parent is gone, so nothing can be sent any more, not even at exit.
        os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
