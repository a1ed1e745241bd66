"""A process that speaks behind a limit, and ends in one way: ``limited.py URL LIMIT END``.

LIMIT is an expression over the limits of the package. END is ``exit``, ``kill``, ``orphan``, ``fork``, or a name and a
number of threads that speak one text after another until standard input is closed, such as ``a:4``.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from cartesia_sync import Cartesia, ForkedError
from cartesia_sync.limits import Learned, Redis, SameMachine

URL, LIMIT, END = sys.argv[1:]
SPOKEN: dict[str, Any] = {
    "model_id": "sonic-latest",
    "voice": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
}
_ = (Learned, Redis, SameMachine)
client = Cartesia(api_key="any", base_url=URL, limit=eval(LIMIT))
connection = client.tts.websocket_connect().enter()


def begin() -> list[Any]:
    """Have contexts speak without end, in all slots."""
    assert client.limit is not None
    contexts = []
    for _ in range(client.limit.allowed or 0):
        contexts.append(connection.context(**SPOKEN))
        contexts[-1].push("This is a text that is spoken for a while. " * 50, continue_=False)
    return contexts


def fork() -> None:
    """Have a child that lives on, and ends nothing of its parent's; then end what speaks."""
    contexts = begin()
    assert client.limit is not None
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert (client.limit.in_use, client.limit.waiting) == (0, 0)
            for context in contexts:
                try:
                    context.cancel()
                except ForkedError:
                    pass
            contexts.clear()
            del context
            print("forked", flush=True)
            sys.stdin.read()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert client.limit.in_use == len(contexts)
    for context in contexts:
        context.cancel()
    contexts.clear()
    context = connection.context(**SPOKEN)
    context.push("And on.", continue_=False)
    assert context.audio()
    client.close()


def work(name: str) -> None:
    while not is_over.is_set():
        context = connection.context(**SPOKEN)
        context.push(f"{name} says some words.", continue_=False)
        assert context.audio()


is_over = threading.Event()
if END == "fork":
    fork()
elif END in ("exit", "kill", "orphan"):
    held = begin()
    if END == "orphan" and os.fork() == 0:  # a child that lives on when its parent is killed, and uses nothing
        sys.stdin.read()
        os._exit(0)
    print("speaking", flush=True)
    sys.stdin.read()
else:
    name, count = END.split(":")
    threads = [threading.Thread(target=work, args=(name,)) for _ in range(int(count))]
    for thread in threads:
        thread.start()
    print("speaking", flush=True)
    sys.stdin.read()
    is_over.set()
    for thread in threads:
        thread.join()
    client.close()
    assert client.limit is not None
    print("in use", client.limit.in_use, "waiting", client.limit.waiting, flush=True)
