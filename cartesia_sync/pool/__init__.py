"""Many texts at once: whole answers, futures and lazy maps over a few connections, made in each process when needed.

Made by ``client.tts.pool()``; ``client.tts.connection()`` is the small sister.
"""

from __future__ import annotations

from ..speech.words import Phoneme, Word
from .pool import Pool
from .spoken import Spoken

__all__ = ["Phoneme", "Pool", "Spoken", "Word"]
