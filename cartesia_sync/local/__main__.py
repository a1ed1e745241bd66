"""``python -m cartesia_sync.local``: serve until Ctrl-C or a polite kill."""

from __future__ import annotations

import argparse
import signal
import ssl
import sys
import threading
from collections.abc import Sequence
from typing import Optional

from . import LocalServer

__all__ = ["main", "serve"]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Serve until interrupted. Prints where, once clients can connect.

    Args:
        arguments: What stands behind the command; ``None`` for the process's own.

    Returns:
        The exit status: 0, or 1 if the address cannot be listened on.

    Threads: as ``serve``.
    """
    parser = argparse.ArgumentParser(
        prog="cartesia_sync.local", description="A local server of Cartesia's speech protocol."
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8765, help="the port; 0 for a free one (%(default)s)")
    parser.add_argument(
        "--pace",
        type=float,
        metavar="N",
        help="stream audio at N times real time; as fast as it can if not given",
    )
    parser.add_argument(
        "--engine", choices=("auto", "espeak", "signal"), default="auto", help="who speaks (%(default)s)"
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="speak TLS with this certificate chain (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="the certificate's key, if it is in a file of its own (PEM)")
    options = parser.parse_args(arguments)
    try:
        serve(**vars(options))
    except (ImportError, OSError, ValueError) as exc:
        print(f"cartesia_sync.local: {exc}", file=sys.stderr)
        return 1
    return 0


def serve(
    *,
    host: str,
    port: int,
    pace: Optional[float],
    engine: str,
    tls_cert: Optional[str] = None,
    tls_key: Optional[str] = None,
) -> None:
    """Serve until SIGINT or SIGTERM; prints where, once clients can connect.

    Args:
        host: As all that is not said here: ``LocalServer``'s.
        port: See above.
        pace: See above.
        engine: See above.
        tls_cert: The file of a certificate chain; TLS is spoken with it.
        tls_key: The file of its key; ``None`` if the key is in the same file.

    Raises:
        OSError, ValueError, ImportError: As ``LocalServer``, or the files are not what they should be.

    Threads: the main thread only, for it takes the two signals.
    """
    over = threading.Event()
    server = LocalServer(
        host=host, port=port, ssl_context=_tls_context(tls_cert, tls_key), pace=pace, engine=engine, record=False
    )
    with server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: over.set())
        print(f"listening on {server.url}", flush=True)
        print("any API key will do; Ctrl-C ends it", file=sys.stderr)
        over.wait()


def _tls_context(certificate: Optional[str], key: Optional[str]) -> Optional[ssl.SSLContext]:
    if certificate is None:
        if key is not None:
            raise ValueError("--tls-key needs --tls-cert")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


if __name__ == "__main__":
    sys.exit(main())
