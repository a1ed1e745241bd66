"""The process that loads PocketSphinx: samples come in, words with times go out.

A request is a length (big-endian, 32 bits) and 16-bit samples at 16 kHz; the answer a length and JSON, a list of
[word, start, end] in seconds. Started by ``sphinx`` with the folder of the package. Ends when stdin does.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from typing import Any

__all__ = ["main"]

_LENGTH = struct.Struct(">I")
_FRAMES_A_SECOND = 100


def _words(decoder: Any, audio: bytes) -> list[tuple[str, float, float]]:
    decoder.start_utt()
    decoder.process_raw(audio, full_utt=True)
    decoder.end_utt()
    return [
        (each.word.partition("(")[0], each.start_frame / _FRAMES_A_SECOND, (each.end_frame + 1) / _FRAMES_A_SECOND)
        for each in decoder.seg() or ()
        if each.word[0] not in "<["
    ]


def main(arguments: list[str]) -> int:
    """Serve the parent process on stdin and stdout.

    Args:
        arguments: The folder of the package ``pocketsphinx``, if it is not on the path anyway.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    sys.path.extend(arguments)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the library may print; that must not mix with our answers
    import pocketsphinx  # type: ignore[import-untyped,import-not-found,unused-ignore]  # it publishes no types

    decoder = pocketsphinx.Decoder(samprate=16000, loglevel="FATAL")
    while True:
        head = sys.stdin.buffer.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return 0
        audio = sys.stdin.buffer.read(_LENGTH.unpack(head)[0])
        answer = json.dumps(_words(decoder, audio) if audio else []).encode()
        try:
            out.write(_LENGTH.pack(len(answer)) + answer)
            out.flush()
        except BrokenPipeError:
            os._exit(0)  # the parent is gone, so nothing can be sent any more, not even at exit


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
