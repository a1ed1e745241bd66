"""Lists that come in pages, under the name that the official client has for their place."""

from .resources.pages import SyncCursorIDPage

__all__ = ["SyncCursorIDPage"]
