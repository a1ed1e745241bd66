"""The service's resources, one noun a file.

Their classes can be imported from here for annotations, as from the official client; each is loaded when asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .access_token import AccessTokenResource
    from .agents import AgentsResource
    from .datasets import DatasetsResource
    from .fine_tunes import FineTunesResource
    from .pronunciation_dicts import PronunciationDictsResource
    from .stt import STTResource
    from .tts import TTSResource
    from .voice_changer import VoiceChangerResource
    from .voices import VoicesResource

    SttResource = STTResource

_FILES = {
    "AccessTokenResource": "access_token",
    "AgentsResource": "agents",
    "DatasetsResource": "datasets",
    "FineTunesResource": "fine_tunes",
    "PronunciationDictsResource": "pronunciation_dicts",
    "STTResource": "stt",
    "SttResource": "stt",
    "TTSResource": "tts",
    "VoiceChangerResource": "voice_changer",
    "VoicesResource": "voices",
}
__all__ = [
    "AccessTokenResource",
    "AgentsResource",
    "DatasetsResource",
    "FineTunesResource",
    "PronunciationDictsResource",
    "STTResource",
    "SttResource",
    "TTSResource",
    "VoiceChangerResource",
    "VoicesResource",
]

if not TYPE_CHECKING:  # to a type checker a module with __getattr__ has every name

    def __getattr__(name: str) -> Any:
        """Load a class of ``__all__``."""
        if name in _FILES:
            module = importlib.import_module(f".{_FILES[name]}", __name__)
            found = globals()[name] = vars(module)[name.replace("Stt", "STT")]  # the official client's old name
            return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
