"""Contexts over a connection, and the threads between them."""
