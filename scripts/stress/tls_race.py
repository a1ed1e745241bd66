"""Show how threads on one TLS connection lose it, and that this package's wire does not: a table, one Python a row.

One reader and three writers share a WebSocket over TLS to an echoing server in a process of its own, for a second at
a time, in three ways: with a socket timeout (``naive``: websocket-client with ``settimeout``, one thread in ``recv``
and three in ``send``), without one (``blocking``), and through ``cartesia_sync.transport.websocket`` (``ours``). A
connection is lost when anything but the planned end ends it: an exception, a message that is not the one that was
sent, or a stall.

The interpreters are those of pyenv and of PATH. Each gets an environment with the dependencies in ``--venvs``.
The exit status is 0 if ours lost none on any of them.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Callable, Optional, Protocol, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
from far_end import frame, read_frame, upgrade  # found by the line before

ROOT = Path(__file__).resolve().parents[2]
WRITERS = 3
FILLER = "x" * 4096
END = "end"
SOCKET_TIMEOUT = 10.0
STALL = 5.0
"""Seconds without a message, while some are on their way, after which a connection counts as lost."""
BOUND = 30.0

# ---- the server, in a process of its own


def serve(certificate: str, drops_after: Optional[int]) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=_serve_one, args=(tls, sock, drops_after), daemon=True).start()


def _serve_one(tls: ssl.SSLContext, sock: socket.socket, drops_after: Optional[int]) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError, EOFError), tls.wrap_socket(sock, server_side=True) as secure:
        file = cast(BinaryIO, secure.makefile("rb", 1 << 16))
        upgrade(secure, file)
        echoed = 0
        while echoed != drops_after:
            opcode, data = read_frame(file)
            secure.sendall(frame(data, opcode))
            echoed += 1


@contextlib.contextmanager
def serving(folder: str, *, drops_after: Optional[int] = None) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Start the server; give its URL, and a context that trusts it."""
    import trustme

    authority = trustme.CA()
    client = ssl.create_default_context()
    authority.configure_trust(client)
    path = Path(folder) / "certificate.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(path))
    command = [sys.executable, __file__, "--serve", str(path)]
    if drops_after is not None:
        command += ["--drops-after", str(drops_after)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield f"wss://localhost:{int(process.stdout.readline())}/", client
        finally:
            process.kill()


# ---- the ways to share a connection


class Way(Protocol):
    def read(self) -> bytes: ...

    def write(self, message: str) -> None: ...

    def shutdown(self) -> None: ...

    def release(self) -> None: ...


class Library:
    """websocket-client by itself: its own locks keep writers apart, and nothing keeps the reader from the writers."""

    def __init__(self, url: str, tls: ssl.SSLContext, timeout: Optional[float]) -> None:
        import websocket

        connect: Any = websocket.create_connection  # which has no type hints
        self._websocket = connect(
            url, timeout=BOUND, sslopt={"context": tls}, enable_multithread=True, skip_utf8_validation=True
        )
        self._websocket.settimeout(timeout)
        self._socket: ssl.SSLSocket = self._websocket.sock  # which it forgets when it fails

    def read(self) -> bytes:
        message: str = self._websocket.recv()
        return message.encode()

    def write(self, message: str) -> None:
        self._websocket.send(message)

    def shutdown(self) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def release(self) -> None:
        self._socket.close()


class Ours:
    """This package's wire: one thread reads, and the others put what they say in line, as the link has them do."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        from cartesia_sync.transport.deadline import Deadline
        from cartesia_sync.transport.websocket import handshake

        self._deadline = Deadline
        self._wire = handshake.connect(url, {}, ssl_context=tls, deadline=Deadline(BOUND))

    def read(self) -> bytes:
        while True:
            message = self._wire.read(self._deadline(None))
            if message:
                return message  # or else a writer has woken it, to send what was left over

    def write(self, message: str) -> None:
        self._wire.write(message.encode(), self._deadline(SOCKET_TIMEOUT))

    def shutdown(self) -> None:
        self._wire.shutdown()

    def release(self) -> None:
        self._wire.release()


WAYS: dict[str, Callable[[str, ssl.SSLContext], Way]] = {
    "naive": lambda url, tls: Library(url, tls, SOCKET_TIMEOUT),
    "blocking": lambda url, tls: Library(url, tls, None),
    "ours": Ours,
}


class Trial:
    """One connection, one reader and three writers, for some seconds or for so many messages of each writer.

    Attributes:
        messages: How many came back.
        loss: Why the connection was lost; None if it was not.
    """

    def __init__(self, way: Way, *, seconds: float = BOUND, messages: Optional[int] = None) -> None:
        self.messages = 0
        self._losses: list[str] = []
        self._way = way
        self._most = messages
        self._is_over = threading.Event()
        self._together = threading.Barrier(WRITERS + 1)
        work = [self._read, *(partial(self._write, number) for number in range(WRITERS))]
        threads = [threading.Thread(target=self._guarded, args=(each,), daemon=True) for each in work]
        for thread in threads:
            thread.start()
        if messages is None:
            self._is_over.wait(seconds)
            self._is_over.set()
        for thread in threads:
            self._watch(thread)
        way.shutdown()
        for thread in threads:
            thread.join(BOUND)

    def _watch(self, thread: threading.Thread) -> None:
        """Wait for a thread's end for as long as messages come."""
        while thread.is_alive() and not self._losses:
            before = self.messages
            thread.join(STALL)
            if thread.is_alive() and self.messages == before:
                self._lose(f"stall of {STALL:g} s")

    @property
    def loss(self) -> Optional[str]:
        """The first thread's story; not that of one which found the socket closed by another."""
        return next((why for why in self._losses if "Bad file descriptor" not in why), None) or next(
            iter(self._losses), None
        )

    def _lose(self, why: str) -> None:
        self._losses.append(why)
        self._is_over.set()
        self._way.shutdown()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            self._together.wait(BOUND)
            work()
        except Exception as error:  # whatever ends it early is a lost connection
            self._lose(f"{type(error).__name__}: {error}")

    def _write(self, number: int) -> None:
        count = 0
        while not self._is_over.is_set() and count != self._most:
            self._way.write(f"{number} {count} {FILLER}")
            count += 1
        self._way.write(END)

    def _read(self) -> None:
        counts = [0] * WRITERS
        ended = 0
        while ended < WRITERS:
            message = self._way.read().decode()
            if message == END:
                ended += 1
                continue
            number = int(message[:1])
            if message != f"{number} {counts[number]} {FILLER}":
                raise ValueError(f"message {counts[number]} of writer {number} came back as {message[:20]!r}")
            counts[number] += 1
            self.messages += 1


def race(ways: list[str], trials: int, seconds: float, messages: Optional[int]) -> dict[str, Any]:
    """Run all trials on this interpreter."""
    import websocket

    result: dict[str, Any] = {
        "python": sys.version.split()[0],
        "websocket-client": websocket.__version__,
        "openssl": ssl.OPENSSL_VERSION.split()[1],
        "ways": {},
    }
    with tempfile.TemporaryDirectory() as folder, serving(folder) as (url, tls):
        for name in ways:
            done = []
            for _ in range(trials):
                way = WAYS[name](url, tls)
                done.append(Trial(way, seconds=seconds, messages=messages))
                way.release()
            result["ways"][name] = {
                "lost": sum(trial.loss is not None for trial in done),
                "losses": Counter(trial.loss for trial in done if trial.loss is not None),
                "messages": sum(trial.messages for trial in done),
            }
    return result


# ---- every interpreter of this machine


def interpreters() -> dict[str, str]:
    """Return the path of each Python from 3.9 on, by its version; of two with one version, the first."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [Path(folder) for folder in os.get_exec_path() if Path(folder) != pyenv / "shims"]
    on_path = [path for folder in folders for path in sorted(folder.glob("python3.*"))]
    paths = [Path(sys.executable), *sorted(pyenv.glob("versions/3.*/bin/python"))]
    paths += {path.resolve(): path for path in on_path if re.fullmatch(r"python3\.\d+(\.exe)?", path.name)}.values()
    ask = "import sys, ssl; print('%d.%d.%d' % sys.version_info[:3], sys.executable, int(sys.version_info >= (3, 9)))"
    found: dict[str, str] = {}
    for path in paths:
        answer = subprocess.run([path, "-c", ask], capture_output=True, text=True)
        if answer.returncode == 0:
            version, executable, is_new_enough = answer.stdout.split()
            if is_new_enough == "1":
                found.setdefault(version, executable)
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


def requirements() -> list[str]:
    """Return what the package needs, and trustme; the package itself is run from where it is."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return [*setup["options"]["install_requires"].split("\n")[1:], "trustme"]


def has_dependencies(python: str) -> bool:
    look = "import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, sys.argv[1:])))"
    needed = ("msgspec", "numpy", "requests", "trustme", "websocket")
    return subprocess.run([python, "-c", look, *needed], capture_output=True).returncode == 0


def equipped(python: str, folder: Path) -> str:
    """Return a Python of that version that has the dependencies: itself, or one in an environment of its own."""
    if has_dependencies(python):
        return python
    own = folder / "bin" / "python"
    if not (own.exists() and has_dependencies(str(own))):
        subprocess.run([python, "-m", "venv", str(folder)], check=True, capture_output=True, text=True)
        install = [str(own), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements()]
        subprocess.run(install, check=True, capture_output=True, text=True)
    return str(own)


def run_on(python: str, *options: str) -> dict[str, Any]:
    """Run the race on another interpreter; the package is that of this checkout."""
    done = subprocess.run(
        [python, __file__, "--here", *options],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def run_on_all(venvs: Path, trials: int, seconds: float) -> int:
    """Print the table; give how many connections ours lost."""
    print(f"{trials} trials of {seconds:g} s each way, 1 reader, {WRITERS} writers, {len(FILLER)} bytes a message")
    print(f"{'python':8} {'library':8} {'openssl':8}", end="")
    print("".join(f" {name + ' lost':>14} {'messages':>9}" for name in WAYS))
    lost = 0
    losses: list[str] = []
    for version, python in interpreters().items():
        try:
            own = equipped(python, venvs / version)
        except subprocess.CalledProcessError as error:
            print(f"{version:8} not run: {error}")
            continue
        result = run_on(own, "--trials", str(trials), "--seconds", str(seconds))
        print(f"{result['python']:8} {result['websocket-client']:8} {result['openssl']:8}", end="")
        for name, found in result["ways"].items():
            print(f" {found['lost']:11}/{trials:<2} {found['messages']:9}", end="")
            losses += [f"{version} {name}: {count} x {why}" for why, count in found["losses"].items()]
        print(flush=True)
        lost += result["ways"]["ours"]["lost"]
    print("\n".join(["", "how they were lost:", *(losses or ["none was"])]))
    return lost


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a trial takes")
    parser.add_argument("--messages", type=int, help="how many messages of each writer it takes instead")
    parser.add_argument("--venvs", type=Path, help="where to keep the environments (default: a temporary folder)")
    parser.add_argument("--here", action="store_true", help="on this interpreter alone; prints JSON")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="with --here")
    parser.add_argument("--serve", metavar="CERTIFICATE", help=argparse.SUPPRESS)
    parser.add_argument("--drops-after", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.drops_after)
    if options.here:
        print(json.dumps(race(options.ways, options.trials, options.seconds, options.messages)))
        return 0
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        venvs = options.venvs or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lost = run_on_all(venvs.absolute(), options.trials, options.seconds)
    print(f"\nours lost {lost}; {time.monotonic() - started:.0f} s")
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
