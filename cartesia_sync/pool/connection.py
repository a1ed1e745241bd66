"""The one connection of a process and client: opened when it is needed, and again when it has to be."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any, Callable, Optional

from ..errors import ForkedError
from ..streaming.channel import Channel
from ..streaming.connection import Connection
from ..streaming.context import Context
from .processes import PerProcess


def leave_to_parent(connection: Connection) -> None:
    """In a forked child: end the parent's connection here, without touching it there."""
    with contextlib.suppress(ForkedError):
        connection._link.check_process()


class ProcessConnection(Connection):
    """A connection that is another one in each process, and may be made before a fork; by ``client.tts.connection()``.

    The first push opens it. What was begun in the parent process stays there, and raises ``ForkedError`` here. It is
    everybody's: leaving a ``with`` block does not close it, since others speak on it. After ``close`` the next use
    begins another one, unless the client is closed.

    Args:
        make: Makes a connection that is not open.
        is_client_closed: Whether no other one is to follow one that is closed.
    """

    def __init__(self, make: Callable[[], Connection], is_client_closed: Callable[[], bool]) -> None:
        # Not the base class's: what that sets is the inner connection's, see __getattr__.
        self._is_client_closed = is_client_closed
        self._make = make
        self._here: PerProcess[Connection] = PerProcess(self._made, leave=leave_to_parent, is_over=self._is_over)

    def _made(self) -> Connection:
        connection = self._make()
        if self._is_client_closed():
            connection.close()  # and says so to whoever uses it
        return connection

    def _is_over(self, connection: Connection) -> bool:
        return connection._link.is_closed and not self._is_client_closed()

    def __getattr__(self, name: str) -> Any:
        """Return what the base class's methods find on the connection of this process."""
        if name.startswith("__") or name == "_here":
            raise AttributeError(name)
        return getattr(self._here(), name)

    def __reduce__(self) -> str:
        raise TypeError(
            "a connection belongs to its process and cannot travel to another; send the client, which can, and call "
            "client.tts.connection() there"
        )

    def context(self, context_id: Optional[str] = None, **options: Any) -> Context:
        """Begin a context; see ``Connection.context``."""
        return self._here().context(context_id, **options)

    def send(self, event: Any, **more: Any) -> None:
        """Send one message, for those who route by hand; see ``Connection.send``."""
        self._here().send(event, **more)

    def _await_next(self, timeout: Optional[float]) -> tuple[Channel, Any]:
        return self._here()._await_next(timeout)

    def close(self, *, code: int = 1000, reason: str = "") -> None:
        """Close this process's connection, for all who use it; see ``Connection.close``. The next use begins another.

        Raises and threads: as ``Connection.close``.
        """
        for connection in self._here.peek():
            connection.close(code=code, reason=reason)

    def _end_with_client(self) -> None:
        """Close, since the client is closed."""
        self.close()

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        """Leave it open, for the others."""
