"""A client for Cartesia's speech API that plain threads can use."""

from __future__ import annotations

from ._version import __version__

__all__ = ["__version__"]
