"""Audio as numbers and files: samples, WAV, files that are whole or not there, chunks that share a sample."""

from __future__ import annotations

import warnings

_MOVED = ("to_samples", "to_integers")


def __getattr__(name: str) -> object:
    """Return what stood in ``cartesia_sync.audio`` when that was one file."""
    if name in _MOVED:
        from . import samples

        warnings.warn(
            f"cartesia_sync.audio.{name} has moved to cartesia_sync.audio.samples", DeprecationWarning, stacklevel=2
        )
        return getattr(samples, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
