"""A bot that says again what it hears, in sixty lines: speech to text to speech, on one machine and without a key.

    python scripts/examples/echo_bot.py [--microphone]

Without a microphone another voice asks three things, at the pace of speech. Each turn that the service finds is spoken
again by the bot, into ``echo-1.wav`` and so on, while the listening goes on. Without CARTESIA_API_KEY it speaks to the
local server.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cartesia_sync import Cartesia, Microphone

HEARD: Any = {"encoding": "pcm_s16le", "sample_rate": 16000}
SOUND: Any = {"container": "raw", **HEARD}
VOICE, OTHER_VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b", "694f9389-aac1-45b6-b726-9d9369183238"
ASKED = ("Hello there, how are you today?", "What time is it in New York?", "Good bye!")


def other_voice(client: Cartesia) -> Iterator[bytes]:
    """Give what somebody says, with a pause after each sentence."""
    for text in ASKED:
        yield client.tts.generate(
            model_id="sonic-latest", voice=OTHER_VOICE, transcript=text, output_format=SOUND
        ).read()
        yield bytes(2 * 16000)  # a second of silence


def main() -> None:
    folder = Path(os.environ.get("FOLDER", "."))
    with contextlib.ExitStack() as stack:
        if os.environ.get("CARTESIA_API_KEY"):
            client = stack.enter_context(Cartesia())
        else:
            from cartesia_sync.local import LocalServer

            client = stack.enter_context(Cartesia(api_key="local", base_url=stack.enter_context(LocalServer()).url))
        connection = stack.enter_context(client.tts.websocket_connect())
        session = stack.enter_context(client.stt.auto_finalize.websocket(model="ink-2", **HEARD))
        source: Any = stack.enter_context(Microphone()) if "--microphone" in sys.argv else other_voice(client)
        stack.enter_context(session.feed(source))
        for number, turn in enumerate(session.turns(), 1):
            if not turn.text.strip():
                continue  # a noise
            context = connection.context(model_id="sonic-latest", voice=VOICE, output_format=SOUND)
            context.push(turn.text.strip(), continue_=False)
            path = folder / f"echo-{number}.wav"
            seconds = context.save(path)
            print(
                f"{turn.started:5.1f} s  {turn.text.strip()!r}, said again in {seconds:.1f} s: {path.name}", flush=True
            )


if __name__ == "__main__":
    main()
