"""The old place of ``cartesia_sync.audio.files``; it goes with version 0.3."""

from __future__ import annotations

import warnings

from .audio.files import *  # noqa: F403  # whatever stood here can still be imported from here

warnings.warn("cartesia_sync.files has moved to cartesia_sync.audio.files", DeprecationWarning, stacklevel=2)
