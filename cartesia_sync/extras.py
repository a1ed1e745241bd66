"""What is said where a library is not installed that an extra brings."""

from __future__ import annotations

from typing import Optional


def missing(extra: str, what: str, *, cause: Optional[BaseException] = None) -> ImportError:
    """Make the error; ``what`` says what needs which library, and the cause what came of looking for it."""
    name = getattr(cause, "name", None)
    return ImportError(
        f"{what}: pip install 'cartesia-sync[{extra}]'" + (f" ({cause})" if cause is not None else ""), name=name
    )
