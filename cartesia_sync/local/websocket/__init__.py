"""The WebSocket side: a connection, and the contexts on it."""
