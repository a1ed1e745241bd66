"""``python -m cartesia_sync`` is the command ``cartesia-sync``."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
