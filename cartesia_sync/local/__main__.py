"""``python -m cartesia_sync.local``: serve until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import math
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from typing import Any, Optional

from . import Fault, LocalServer, ServerOptions
from .fault_text import fault_of

__all__ = ["add_options", "main", "serve"]


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


def _seconds_or_never(text: str) -> Optional[float]:
    return None if text == "never" else _above_zero(text)


def _one_or_more(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port, 0 to 65535, got {text}")
    return value


def _fault(text: str) -> Fault:
    try:
        return fault_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


# The server's options that are options of the command lines too, with argparse's settings for each.
_OPTIONS: dict[str, dict[str, Any]] = {
    "host": {"help": "the address to listen on (%(default)s)"},
    "port": {"help": "the port; 0 for a free one (%(default)s)", "type": _port, "default": 8765},
    "pace": {
        "help": "send audio at N times real time (as fast as possible)",
        "type": _above_zero,
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
    "inspector": {
        "flag": "--no-inspector",
        "help": "do not show what is said and heard in a browser of this machine",
        "action": "store_false",
        "default": True,
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
    "concurrency_limit": {
        "help": "refuse more than N contexts and requests at once (no limit)",
        "type": _one_or_more,
        "metavar": "N",
    },
    "idle_timeout": {
        "help": "close a connection after so many seconds without a message, or never (%(default)s)",
        "type": _seconds_or_never,
        "metavar": "SECONDS",
    },
    "faults": {
        "flag": "--fault",
        "help": "what is to go wrong, as in docs/testing.md: 'Close(1011, after=3)'; again for more",
        "type": _fault,
        "action": "append",
        "metavar": "FAULT",
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
        key = "any" if options.get("api_keys") is None else "ONE-OF-THE-KEYS"
        print(_told(server.url, server.websocket_url, key), flush=True)
        if server.host in ("", "0.0.0.0", "::"):
            print(f"from other machines: {_elsewhere(server)}", file=sys.stderr)
        if server.inspector_url is not None:
            print(f"see what is said and heard, in a browser: {server.inspector_url}", file=sys.stderr)
        admitted = "any API key" if options.get("api_keys") is None else "the API keys that were given"
        print(f"{admitted} will do; Ctrl-C ends it", file=sys.stderr)
        stop.wait()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``serve`` takes; named here, and nowhere else."""
    fields = inspect.signature(ServerOptions).parameters
    for name, settings in _OPTIONS.items():
        settings = {"dest": name, "default": fields[name].default, **settings}
        if settings.get("action") == "append":
            settings["default"] = []
        parser.add_argument(settings.pop("flag", f"--{name.replace('_', '-')}"), **settings)
    parser.add_argument("--tls-cert", metavar="FILE", help="speak TLS with this certificate chain (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="the certificate's key, if it is in a file of its own (PEM)")


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
    add_options(parser)
    return parser


def _told(url: str, websocket_url: str, key: str) -> str:
    """Return where the server is, with what to paste into a shell or a program that is to use it.

    The official client (4.2.0) takes the address for HTTP from the environment; for WebSockets it puts wss in front of
    it, so that it must be told.
    """
    lines = [f"listening on {url}"]
    for everywhere, here in (("//0.0.0.0:", "//127.0.0.1:"), ("//[::]:", "//[::1]:")):  # no address to go to
        url, websocket_url = url.replace(everywhere, here), websocket_url.replace(everywhere, here)
    lines += [f"export CARTESIA_BASE_URL={url}", f"export CARTESIA_API_KEY={key}"]
    if url.startswith("https:"):
        lines.append("# if its authority is one of your own: export SSL_CERT_FILE=that-authority.pem")
    lines.append(
        f'# the official client: Cartesia(api_key="{key}", base_url="{url}", websocket_base_url="{websocket_url}")'
    )
    return "\n".join(lines)


def _tls_context(certificate: Optional[str], key: Optional[str]) -> Optional[ssl.SSLContext]:
    if certificate is None:
        if key is not None:
            raise ValueError("--tls-key needs --tls-cert")
        return None
    for option, path in (("--tls-cert", certificate), ("--tls-key", key)):
        if path is not None:
            try:
                with open(path, "rb"):
                    pass
            except OSError as error:  # ssl's own does not name the file
                raise OSError(error.errno, error.strerror, f"{option} {path}") from None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        files = f"--tls-cert {certificate}" + (f" and --tls-key {key}" if key else "")
        raise ValueError(f"{files}: no certificate chain and its key in PEM ({error.reason or error})") from error
    return context


if __name__ == "__main__":
    sys.exit(main())
