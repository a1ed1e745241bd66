"""A WebSocket: dialled, encrypted, framed; websocket-client is met here alone."""
