"""Bytes to and from the service: sockets, WebSocket framing, HTTP. Each foreign library is met in one file here."""
