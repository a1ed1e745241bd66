"""What the product is, in twenty seconds; see ``scripts/demo``.

Two plain threads speak and hear two contexts on one connection; captions beside the WAV files; a listener who
interrupts, and of whom is known what was heard; and speech to text, which hears what was said.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Callable

from cartesia_sync import Cartesia, CartesiaError, Connection, Player, Recording, TruncatedError
from cartesia_sync.audio.wav import WavWriter
from cartesia_sync.protocol.formats import RawFormat

SOUND = RawFormat(encoding="pcm_s16le", sample_rate=44100)
OUTPUT_FORMAT = {"container": "raw", "encoding": SOUND.encoding, "sample_rate": SOUND.sample_rate}
VOICES = ("6ccbfb76-1fc6-48f7-b71d-91ac6298247b", "694f9389-aac1-45b6-b726-9d9369183238")
TRANSCRIPTS = (
    "Context one is speaking now. This is a longer transcript to ensure that audio chunks from both contexts are "
    "interleaved on the wire. The quick brown fox jumps over the lazy dog.",
    "Context two has a different message. We want to verify that the routing logic correctly separates the audio "
    "streams. Pack my box with five dozen liquor jugs.",
)
INTERRUPTED_AFTER = 2.0  # seconds of listening
PACE = 4.0  # times real time; what the service is said to do, and slow enough to watch


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if os.environ.get("CARTESIA_API_KEY"):
            client = Cartesia()
            print(f"speaking to {client.base_url}")
        else:
            from cartesia_sync.local import LocalServer

            server = stack.enter_context(LocalServer(pace=PACE, inspector=True))
            client = Cartesia(api_key="local", base_url=server.url)
            print(f"no CARTESIA_API_KEY: speaking to the local server at {server.url}, paced at {PACE:g} x real time")
            print(f"in a browser, while it lasts: {server.inspector_url}")
        connection = stack.enter_context(client.tts.websocket_connect())
        print("one connection, two threads, two contexts\n")
        print("  time     context 1 | context 2      bytes   audio so far")
        together = threading.Barrier(len(TRANSCRIPTS), timeout=30)
        started = time.monotonic()

        def speak(number: int) -> tuple[float, float, Path, Recording]:
            context = connection.context(
                f"context-{number}",
                model_id="sonic-latest",
                voice=VOICES[number - 1],
                output_format=OUTPUT_FORMAT,
                add_timestamps=True,
            )
            path = folder / f"context-{number}.wav"
            together.wait()  # so that both are on the wire at the same time
            pushed = time.monotonic()
            context.push(TRANSCRIPTS[number - 1])
            context.no_more_inputs()
            first_audio = float("nan")
            is_whole = False
            recording = context.record()
            with WavWriter(path, SOUND) as wav:
                for event in recording:
                    if event.type == "chunk" and event.audio:
                        if not wav.audio_bytes:
                            first_audio = time.monotonic() - pushed
                        wav.write(event.audio)
                        marks = "#        |          " if number == 1 else "         | #        "
                        at = time.monotonic() - started
                        print(f"{at:6.3f} s    {marks} {len(event.audio):8d}   {wav.seconds:7.2f} s")
                    is_whole = event.type == "done"
                if not is_whole:
                    raise TruncatedError(f"context {number} ended before it was done")
            return first_audio, wav.seconds, path, recording

        with ThreadPoolExecutor(len(TRANSCRIPTS)) as threads:
            results = [threads.submit(speak, number) for number in (1, 2)]
            try:
                wait(results)
            except KeyboardInterrupt:  # in a join() it would make CPython 3.11 take the threads for ended
                connection.close()
                wait(results)  # until they have taken their files away
                raise
        print()
        for number, result in enumerate(results, 1):
            first_audio, seconds, path, recording = result.result()
            print(f"context {number}: first audio after {first_audio * 1000:.0f} ms, {seconds:.2f} s of audio, {path}")
            _if_there_is(lambda: _write_captions(recording, path.with_suffix(".srt")))  # noqa: B023  # at once
        _if_there_is(lambda: _interrupt(connection))
        heard = client.stt.transcribe(file=folder / "context-1.wav", model="ink-whisper", language="en")
        print(f"speech to text hears in context-1.wav: {heard.text!r}")
    return 0


def _if_there_is(show: Callable[[], None]) -> None:
    """Show something, or say what it needs that is not installed."""
    try:
        show()
    except ImportError as error:
        print(error)


def _write_captions(recording: Recording, path: Path) -> None:
    captions = recording.captions()
    captions.save(path)
    print(f"           {len(captions)} captions, {path}")


def _interrupt(connection: Connection) -> None:
    """Play to a device that takes the audio in real time and makes no sound, and stop it in the middle."""
    with Player("null") as player:
        context = connection.context(
            model_id="sonic-latest", voice=VOICES[0], output_format=OUTPUT_FORMAT, add_timestamps=True
        )
        speech = player.play(context)
        context.push(TRANSCRIPTS[0], continue_=False)
        with contextlib.suppress(TimeoutError):
            speech.wait(INTERRUPTED_AFTER)
        heard = speech.stop()
        print(f"interrupted: {heard.seconds:.2f} s of {heard.total_seconds:.2f} s were heard: {heard.text!r}")


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except (CartesiaError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
