"""What the server tells whoever looks on: everything that is said and heard, as it happens."""

from __future__ import annotations

from typing import Any, Optional, Protocol, Union

__all__ = ["Observer"]


class Observer(Protocol):
    """Looks on. Each method returns at once and raises nothing.

    Connections and calls are known by the recorder's numbers. No credential is passed.

    Threads: the server's loop only.
    """

    def opened(self, number: int, path: str, version: str) -> None:
        """A WebSocket was granted."""

    def refused(self, number: int, path: str, version: str, status: int) -> None:
        """A WebSocket was refused."""

    def said(self, number: int, data: Union[str, bytes]) -> None:
        """The client said something on a WebSocket."""

    def heard(self, number: int, event: str) -> None:
        """The client is told something on a WebSocket."""

    def closing(self, number: int, code: Optional[int], reason: str) -> None:
        """The server ends a WebSocket."""

    def closed(self, number: int) -> None:
        """A WebSocket has ended."""

    def asked(self, number: int, method: str, path: str, body: Any) -> None:
        """An HTTP request was read."""

    def answered(self, number: int, status: int, content_type: str, data: bytes) -> None:
        """Some of the answer leaves, or all of it."""

    def ended(self, number: int, how: str) -> None:
        """The answer is at its end: ``whole``, ``cut`` or ``left``. Of several ends the first counts."""
