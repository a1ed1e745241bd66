"""Tapes: what a program said to the service and heard from it, recorded once and replayed ever after.

The program talks to a proxy on this machine, by its base URL; the proxy plays the tape, or passes everything on and
writes it down. So both transports, every client and every library are recorded alike.

Rooms, from the ground up; each imports only from those before it:

    secrets                   what may stand in no tape
    audio_files               the audio beside it
    reel                      what is on a tape, in memory and as files
    calls | conversations     which recorded request, or conversation, a program makes now
    deck                      what the two transports share
    http_calls                HTTP
    sockets                   WebSockets
    player                    the proxy's thread
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Optional, Union

from cartesia_sync.core import DEFAULT_BASE_URL
from cartesia_sync.local.recorder import Request

from ..errors import TapeError
from ..seen import OrderedRecorder, Seen
from ..server import KEY, environment
from .deck import Deck
from .player import Player
from .reel import LINES, Reel

__all__ = ["RECORD_MODES", "Tape", "tape"]

RECORD_MODES = ("once", "new", "none", "all")
_PACES = (None, "recorded")


class Tape(Seen):
    """A tape that runs while its ``with`` block does.

        with Tape("tapes/greeting") as tape:
            greet()                                  # Cartesia() in there is led to the tape
            assert tape.spoken == ["Hello."]

    While it runs CARTESIA_BASE_URL leads to it. A tape is a folder: ``tape.jsonl`` and the audio beside that. No key
    and no token is in it.

    Args:
        folder: Where the tape is, or is to be.
        record: ``"once"``: record if there is none, else replay. ``"new"``: replay what is on it, record what is not.
            ``"none"``: only replay. ``"all"``: record afresh.
        pace: ``None``: replay as fast as the program asks. ``"recorded"``: at the times of the recording.
        service: The base URL to record from. ``None``: CARTESIA_BASE_URL, else the service.

    Attributes:
        url: The base URL that leads to it.

    Raises:
        ImportError: The extra ``cartesia-sync[local]`` is not installed.
        TapeError: There is none to replay, or it cannot be read. At the end: what went wrong, or that what was recorded
            cannot be written.
        TapeMismatchError: At the end: the program sent something that is not on the tape. The message has the
            difference; the program itself was told by an answer with status 400, or an error event.

    Threads: any, and any number at a time. Leaving it waits for the proxy, half a second at most. A tape is used once.
    """

    def __init__(
        self,
        folder: Union[str, os.PathLike[str]],
        *,
        record: str = "once",
        pace: Optional[str] = None,
        service: Optional[str] = None,
    ) -> None:
        if record not in RECORD_MODES:
            raise ValueError(f"record: expected one of {', '.join(RECORD_MODES)}; got {record!r}")
        if pace not in _PACES:
            raise ValueError(f"pace: expected None or 'recorded'; got {pace!r}")
        self.folder = Path(folder)
        self.url = ""
        self._record = record
        self._pace = pace
        self._service = service
        self._seen_by = OrderedRecorder()
        self._loop = None
        self._player: Optional[Player] = None
        self._deck: Optional[Deck] = None
        self._kept: frozenset[str] = frozenset()
        self._environment: Any = None
        self._is_discarded = False
        self._own_key: Optional[str] = None

    def __repr__(self) -> str:
        return f"<Tape {str(self.folder)!r}>"

    @property
    def is_recording(self) -> bool:
        """Whether what is asked goes to the service, or may."""
        return self._deck is not None and self._deck.service is not None

    @property
    def key(self) -> str:
        """The key for a client on this tape: that of CARTESIA_API_KEY where it records, else any.

        Raises:
            TapeError: It records from another machine, and CARTESIA_API_KEY is not set.
        """
        if not self.is_recording:
            return KEY
        if self._own_key:
            return self._own_key
        assert self._deck is not None
        if "//127.0.0.1" in str(self._deck.service) or "//localhost" in str(self._deck.service):
            return KEY
        raise TapeError(f"recording {self.folder} from {self._deck.service} needs CARTESIA_API_KEY")

    @property
    def requests(self) -> list[Request]:
        """The HTTP requests that came, in order. A copy."""
        return self._seen_by.requests

    @property
    def problem(self) -> Optional[TapeError]:
        """What went wrong first: a ``TapeMismatchError``, or that nothing could be recorded."""
        return None if self._deck is None else self._deck.problem

    def discard(self) -> None:
        """Do not write what was recorded."""
        self._is_discarded = True

    def start(self) -> Tape:
        """Run it; ``stop`` has to follow. Returns itself."""
        if self._deck is not None:
            raise RuntimeError("a tape is used once; make another")
        is_there = (self.folder / LINES).is_file()
        if self._record == "none" and not is_there:
            raise TapeError(f"there is no tape {self.folder}; record it first (--cartesia-record=once, record='once')")
        replays = is_there and self._record != "all"
        reel = Reel.load(self.folder) if replays else Reel()
        self._kept = reel.streams
        service = None
        if not replays or self._record == "new":
            service = self._service or os.environ.get("CARTESIA_BASE_URL") or DEFAULT_BASE_URL
        self._own_key = os.environ.get("CARTESIA_API_KEY")
        self._deck = Deck(
            reel, self._seen_by, service=service and service.rstrip("/"), is_paced=self._pace == "recorded"
        )
        self._player = Player(self._deck)
        self._player.start()
        self._loop, self.url = self._player.loop, self._player.url
        # Where it records a program's own key is needed, and taken out of what is written.
        self._environment = environment(self.url, None if self._own_key and service is not None else KEY)
        self._environment.__enter__()
        return self

    def stop(self) -> None:
        """End it, and write what was recorded unless something went wrong or it is discarded. Idempotent.

        Raises:
            TapeError: It cannot be written.
        """
        player, deck = self._player, self._deck
        if player is None or deck is None:
            return
        self._player = None
        self._environment.__exit__(None, None, None)
        player.stop()
        if deck.has_recorded and deck.problem is None and not self._is_discarded:
            deck.reel.save(self.folder, deck.secrets, self._kept)

    def __enter__(self) -> Tape:
        return self.start()

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if exc is not None:
            self.discard()
        self.stop()
        if self.problem is not None and self.problem is not exc:
            raise self.problem.with_traceback(None) from exc


def tape(
    folder: Union[str, os.PathLike[str]],
    *,
    record: str = "once",
    pace: Optional[str] = None,
    service: Optional[str] = None,
) -> Tape:
    """Return a ``Tape`` for a ``with`` block; see there."""
    return Tape(folder, record=record, pace=pace, service=service)
