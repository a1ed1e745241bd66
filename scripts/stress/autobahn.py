"""An echo client over the wire, tried by Autobahn's own test suite on loopback; prints how many cases pass, by chapter.

    .venv/bin/python scripts/stress/autobahn.py --wstest "COMMAND" [--cases "1.*,6.4.*"] [--port 9001]

COMMAND starts the suite's ``wstest``, which only Python 2.7 can install (``pip install autobahntestsuite``). Chapters
12 and 13 are compression, which is not offered. Status 0: no case failed. ``tests/support/autobahn_like.py`` has
cases of our own of the same kinds, and needs nothing installed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

from websocket import ABNF

from cartesia_sync.errors import APIConnectionError
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.duplex import Frame
from cartesia_sync.transport.websocket.handshake import connect
from cartesia_sync.transport.websocket.wire import BinaryMessage, Wire

AGENT = "cartesia_sync"
CHAPTERS = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*")
PASSES = ("OK", "NON-STRICT", "INFORMATIONAL")
BOUND = 120.0  # seconds within which a case is over, and the server has started


def echo(wire: Wire) -> None:
    """Send back what is received, until the connection ends."""
    while True:
        message = wire.read(Deadline(BOUND))
        if message is None:
            return
        if isinstance(message, BinaryMessage):
            frame: bytes = ABNF.create_frame(bytes(message), ABNF.OPCODE_BINARY).format()
            wire._duplex.queue(Frame(frame))  # the client itself sends no binary
        elif message:
            try:
                str(message, "utf-8")  # as the JSON decoder checks it
            except UnicodeDecodeError:
                wire.send_close(1007)
                return
            wire.post(bytes(message))


def visit(url: str, *, asks: bool = False) -> Optional[bytes]:
    """Connect and echo; or only ask, and give the answer."""
    wire = connect(url, {}, ssl_context=None, deadline=Deadline(BOUND), max_message_bytes=64 << 20)
    try:
        if asks:
            return wire.read(Deadline(BOUND))
        with suppress(APIConnectionError):  # as every case ends
            echo(wire)
        return None
    finally:
        wire.release()


def wait_for_server(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + BOUND
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"wstest did not start (status {server.poll()})") from None
            time.sleep(0.1)  # another program starts, which tells nobody when it listens
        else:
            return


def run_suite(wstest: str, cases: list[str], port: int) -> dict[str, dict[str, Any]]:
    """Run the cases; give what the suite's report says of each."""
    with tempfile.TemporaryDirectory() as folder:
        reports = Path(folder, "reports")
        spec = {"url": f"ws://127.0.0.1:{port}", "outdir": str(reports), "cases": cases, "exclude-cases": []}
        Path(folder, "spec.json").write_text(json.dumps({**spec, "exclude-agent-cases": {}}), encoding="utf-8")
        command = [*shlex.split(wstest), "-m", "fuzzingserver", "-s", str(Path(folder, "spec.json"))]
        server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            wait_for_server(port, server)
            url = f"ws://127.0.0.1:{port}"
            count = int(visit(f"{url}/getCaseCount", asks=True) or 0)
            for number in range(1, count + 1):
                visit(f"{url}/runCase?case={number}&agent={AGENT}")
            visit(f"{url}/updateReports?agent={AGENT}")
        finally:
            server.terminate()
            server.wait(BOUND)
        report: dict[str, dict[str, dict[str, Any]]] = json.loads((reports / "index.json").read_text(encoding="utf-8"))
    return report[AGENT]


def verdict_of(result: dict[str, Any]) -> str:
    """Return the worse of how the case went and how it was closed."""
    both = (result["behavior"], result["behaviorClose"])
    verdict: str = next((each for each in both if each not in PASSES), both[0])
    return verdict


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wstest", default="wstest", help="the command that starts it")
    parser.add_argument("--cases", default=",".join(CHAPTERS), help="which, with commas between them")
    parser.add_argument("--port", type=int, default=9001)
    options = parser.parse_args()
    results = run_suite(options.wstest, options.cases.split(","), options.port)
    table: dict[int, dict[str, int]] = {}
    failed = 0
    for case, result in sorted(results.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
        verdict = verdict_of(result)
        column = verdict if verdict in PASSES else "FAILED"
        row = table.setdefault(int(case.partition(".")[0]), dict.fromkeys((*PASSES, "FAILED"), 0))
        row[column] += 1
        if column != "OK":
            print(f"{case}: {result['behavior']}, closed {result['behaviorClose']} ({result['remoteCloseCode']})")
        failed += column == "FAILED"
    print(" ".join(f"{name:>13}" for name in ("chapter", *PASSES, "FAILED")))
    for chapter, row in table.items():
        print(" ".join(f"{cell:>13}" for cell in (chapter, *row.values())))
    totals = [sum(row[name] for row in table.values()) for name in (*PASSES, "FAILED")]
    print(" ".join(f"{cell:>13}" for cell in ("all", *totals)))
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
