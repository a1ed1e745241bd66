"""``python -m cartesia_sync.local``: serve until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from . import LocalServer, ServerOptions

__all__ = ["main", "serve"]

# The server's options that are options of the command line too, with argparse's settings for each.
_OPTIONS: dict[str, dict[str, Any]] = {
    "host": {"help": "the address to listen on (%(default)s)"},
    "port": {"help": "the port; 0 for a free one (%(default)s)", "type": int, "default": 8765},
    "pace": {
        "help": "stream audio at N times real time; as fast as possible if not given",
        "type": float,
        "metavar": "N",
    },
    "engine": {"help": "who speaks (%(default)s)", "choices": ("auto", "espeak", "signal")},
    "api_keys": {
        "flag": "--api-key",
        "help": "accept this key alone, or these (any)",
        "type": lambda text: frozenset(text.split(",")),
        "metavar": "KEY,...",
    },
    "allow_anyone": {"help": "let other machines in without --api-key", "action": "store_true"},
    "any_voice": {"help": "let any UUID be a voice", "action": "store_true"},
    # These are listed by docs/testing.md: here they would fill the screen.
    "allow_origins": {
        "flag": "--allow-origin",
        "help": argparse.SUPPRESS,
        "type": lambda text: frozenset(text.split(",")),
    },
    "strict_phonemes": {"help": argparse.SUPPRESS, "action": "store_true"},
    **{
        name: {"flag": f"--no-{name.replace('_', '-')}", "help": argparse.SUPPRESS, "action": "store_false"}
        for name in (
            "strict_tags",
            "strict_first_transcript",
            "inline_phonemes",
            "whole_spell",
            "regional_languages",
            "pronunciation_items",
        )
    },
}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Serve until interrupted. Prints where, once clients can connect.

    Args:
        arguments: What follows the command; ``None`` for the process's own.

    Returns:
        The exit status: 0, or 1 if the address cannot be listened on.

    Threads: as ``serve``.
    """
    try:
        serve(**vars(_parser().parse_args(arguments)))
    except (ImportError, OSError, ValueError) as exc:
        print(f"cartesia_sync.local: {exc}", file=sys.stderr)
        return 1
    return 0


def serve(*, tls_cert: Optional[str] = None, tls_key: Optional[str] = None, **options: Any) -> None:
    """Serve until SIGINT or SIGTERM. Prints where, once clients can connect.

    Args:
        tls_cert: The file of a certificate chain, to speak TLS with.
        tls_key: The file of its key; ``None`` if the key is in the same file.
        **options: Those of ``ServerOptions``.

    Raises:
        OSError, ValueError, ImportError: As ``LocalServer``, or the files are not a certificate and its key.

    Threads: the main thread only, because it handles the two signals.
    """
    stop = threading.Event()
    server = LocalServer(**{"record": False, "ssl_context": _tls_context(tls_cert, tls_key), **options})
    with server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        print(f"listening on {server.url}", flush=True)
        if server.host in ("", "0.0.0.0", "::"):
            print(f"from other machines: {_elsewhere(server)}", file=sys.stderr)
        print(f"{_admitted(options)}; Ctrl-C ends it", file=sys.stderr)
        stop.wait()


def _admitted(options: Mapping[str, Any]) -> str:
    return "any API key will do" if options.get("api_keys") is None else "the API keys that were given will do"


def _elsewhere(server: LocalServer) -> str:
    """Return where other machines reach one that listens everywhere, as far as this one knows."""
    family, target = (socket.AF_INET6, "2001:db8::1") if server.host == "::" else (socket.AF_INET, "192.0.2.1")
    address = socket.gethostname()
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((target, 9))  # sends nothing; it asks which of our addresses leads out
        address = f"[{probe.getsockname()[0]}]" if server.host == "::" else probe.getsockname()[0]
    return f"{server.url.partition('//')[0]}//{address}:{server.port}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cartesia_sync.local", description="A local server of Cartesia's speech protocol."
    )
    fields = inspect.signature(ServerOptions).parameters
    for name, settings in _OPTIONS.items():
        settings = {"dest": name, "default": fields[name].default, **settings}
        parser.add_argument(settings.pop("flag", f"--{name.replace('_', '-')}"), **settings)
    parser.add_argument("--tls-cert", metavar="FILE", help="speak TLS with this certificate chain (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="the certificate's key, if it is in a file of its own (PEM)")
    return parser


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
