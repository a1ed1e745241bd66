"""What a ``with`` block closes at its end."""

from __future__ import annotations

from types import TracebackType
from typing import Optional, TypeVar

_C = TypeVar("_C")


class Closing:
    """Lets an object that has ``close`` be used in a ``with`` block, which closes it whatever happens inside."""

    __slots__ = ()

    def close(self) -> None:
        """Release what is held; each class has its own."""
        raise NotImplementedError

    def __enter__(self: _C) -> _C:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self.close()
