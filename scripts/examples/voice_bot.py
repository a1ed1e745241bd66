"""A voice bot that lets itself be interrupted (barge-in), in sixty lines: type while it speaks.

    python scripts/examples/voice_bot.py

It answers what you type, aloud, as a language model would. Press Enter in the midst of it, or type the next question:
it is silent at once, the service stops speaking, and the bot knows to the word what you have heard, which is what
belongs in the model's memory. Without CARTESIA_API_KEY it speaks to the local server; DEVICE=null plays it nowhere.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from cartesia_sync import Cartesia, Player

VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
SOUND = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}


def model(memory: list[str]) -> Iterator[str]:
    """Stand where a language model's stream of pieces would."""
    answer = (
        f"You said: {memory[-1]}. I could talk about that for a long time, and I will, unless you interrupt me. " * 3
    )
    for word in answer.split(" "):
        yield word + " "


def main() -> None:
    memory: list[str] = []
    with contextlib.ExitStack() as stack:
        if os.environ.get("CARTESIA_API_KEY"):
            client = Cartesia()
        else:
            from cartesia_sync.local import LocalServer

            client = Cartesia(api_key="local", base_url=stack.enter_context(LocalServer(pace=4)).url)
        connection = stack.enter_context(client.tts.websocket_connect())
        player = stack.enter_context(Player(os.environ.get("DEVICE")))
        speech = None
        print("Type something; an empty line interrupts.", flush=True)
        for line in sys.stdin:
            if speech is not None:
                was_over, heard = speech.is_over, speech.stop()
                memory.append(f"bot: {heard.text}")  # what was heard, and not what was meant to be said
                if not was_over:
                    print(f"[interrupted after {heard.seconds:.1f} s: {heard.text!r}]", flush=True)
                speech = None
            if line.strip():
                memory.append(line.strip())
                context = connection.context(
                    model_id="sonic-latest", voice=VOICE, output_format=SOUND, add_timestamps=True
                )
                speech = player.play(context.speak(model(memory)))
        if speech is not None:
            speech.wait()


if __name__ == "__main__":
    main()
