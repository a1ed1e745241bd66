"""From nothing to the first audio: imports, and a whole program from its start, ours beside the official client's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from clients import HOW
from server import order

BOUND = 60
Figures = dict[str, dict[str, list[float]]]

IMPORTS = {
    "import": {"ours": "import cartesia_sync", "official": "import cartesia"},
    "client": {
        "ours": "from cartesia_sync import Cartesia; Cartesia(api_key='bench')",
        "official": "from cartesia import Cartesia; Cartesia(api_key='bench')",
    },
}
"""The bare import, which loads little of ours; and that of the client, which is what programs write, with one made."""

MEASURED = """
import json, resource, time

def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

before, begun = resident_bytes(), time.perf_counter()
{program}
print(json.dumps({{
    "ms": (time.perf_counter() - begun) * 1e3,
    "mib": (resident_bytes() - before) / 2**20,
}}))
"""

OFFICIAL_SAY = """
import sys
from cartesia import Cartesia

url, text, how = sys.argv[1], sys.argv[2], {how!r}
with Cartesia(api_key="bench", websocket_base_url=url).tts.websocket_connect() as connection:
    context = connection.context(**how)
    context.push(text)
    context.no_more_inputs()
    for event in context.receive():
        if event.type == "chunk":
            sys.stdout.buffer.write(event.audio)
            sys.stdout.buffer.flush()
"""

FIRST_AUDIO = 64
"""Bytes: beyond a WAV file's head."""


def importing(rounds: int) -> Figures:
    """Import each package into a bare interpreter; count what that adds."""
    found: Figures = {"ours": {}, "official": {}}
    for _ in range(rounds):
        for what, programs in IMPORTS.items():
            for name, program in programs.items():
                command = [sys.executable, "-c", MEASURED.format(program=program)]
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=BOUND)
                for unit, figure in json.loads(done.stdout).items():
                    found[name].setdefault(f"{what}_{unit}", []).append(figure)
    return found


def starting(rounds: int, url: str) -> Figures:
    """Start ``cartesia-sync say``, and the same in the official client; seconds until audio is at its output."""
    text = order(chunks=20, audio_bytes=4096)
    programs = {
        "ours": [sys.executable, "-m", "cartesia_sync", "say", text, "-o", "-"],
        "official": [sys.executable, "-c", OFFICIAL_SAY.format(how=HOW), url, text],
    }
    environment = {**os.environ, "CARTESIA_API_KEY": "bench", "CARTESIA_BASE_URL": "http" + url[2:]}
    found: Figures = {name: {"say_ms": []} for name in programs}
    for _ in range(rounds):
        for name, command in programs.items():
            begun = time.perf_counter()
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                first = process.stdout.read(FIRST_AUDIO)
                found[name]["say_ms"].append((time.perf_counter() - begun) * 1e3)
                process.communicate(timeout=BOUND)
            if len(first) < FIRST_AUDIO or process.returncode != 0:
                raise RuntimeError(f"{name} ended with {process.returncode} and {len(first)} bytes")
    return found
