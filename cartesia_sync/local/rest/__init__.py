"""The HTTP side: one noun a file, named as in the client's ``resources``."""
