"""What is said where a library is not installed that an extra brings."""

from __future__ import annotations


def missing(extra: str, what: str) -> ImportError:
    """Make the error; ``what`` says what needs which library."""
    return ImportError(f"{what}, which is not installed: pip install 'cartesia-sync[{extra}]'")
