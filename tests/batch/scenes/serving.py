"""A local server in a process of its own.

It prints its address. For each number that it reads it waits until it has heard so many messages more, and prints how
often it was asked to speak each text, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from cartesia_sync.local import LocalServer


def main() -> None:
    limit = int(sys.argv[1])
    with LocalServer(engine="signal", chunk_bytes=1024, concurrency_limit=limit) as server:
        print(server.url, flush=True)
        for line in sys.stdin:
            wanted = len(server.heard) + int(line)
            with contextlib.suppress(TimeoutError):  # there was nothing left to say
                server.wait_for(lambda it, wanted=wanted: len(it.heard) >= wanted, 20.0)
            heard = [each.message for each in server.heard if isinstance(each.message, dict)]
            print(json.dumps(Counter(message.get("transcript", "") for message in heard)), flush=True)


main()
