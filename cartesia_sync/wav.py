"""The old place of ``cartesia_sync.audio.wav``; it goes with version 0.3."""

from __future__ import annotations

import warnings

from .audio.wav import *  # noqa: F403  # whatever stood here can still be imported from here

warnings.warn("cartesia_sync.wav has moved to cartesia_sync.audio.wav", DeprecationWarning, stacklevel=2)
