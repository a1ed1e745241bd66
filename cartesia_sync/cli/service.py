"""The client that a command speaks by: to the service, or to a local server of its own."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any

from . import interrupts
from .outcome import CommandError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..client import Cartesia


_LOADED_LATER = (
    "resources.stt",
    "resources.stt_streaming",
    "resources.tts",
    "resources.voices",
    "streaming.connection",
    "transport.http.session",
    "transport.websocket.handshake",
)
"""What the client loads when it first needs it."""


def add_local(parser: argparse.ArgumentParser) -> None:
    """Add the option that ``client`` reads."""
    parser.add_argument("--local", action="store_true", help="use the local server, started for this one command")


@contextlib.contextmanager
def client(options: argparse.Namespace, **settings: Any) -> Iterator[Cartesia]:
    """Make a client for the block, with these settings.

    Raises:
        CommandError: The local server's extra is not installed.
        MissingCredentialsError, ValueError: As ``Cartesia``.
    """
    with interrupts.held_back():
        from ..client import Cartesia

        for name in _LOADED_LATER:  # else: here nothing can be interrupted
            importlib.import_module(f"cartesia_sync.{name}")
    if not options.local:
        with Cartesia(**settings) as made:
            yield made
        return
    with interrupts.held_back():
        try:
            from ..local import LocalServer
        except ImportError as error:
            raise CommandError(str(error)) from error
    with LocalServer() as server, Cartesia(api_key="local", base_url=server.url, **settings) as made:
        yield made
