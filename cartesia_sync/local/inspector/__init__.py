"""The inspector: what a program says and hears, live in a browser. See docs/testing.md.

Rooms, from the ground up; each imports only from those before it:

    sounds      audio in a form that a browser plays
    history     what happened, bounded by bytes
    watcher     makes entries of it; the server's ``Observer``
    exports     a context as JSON, as a Python program, as a tape
    routes      the page, and what it asks for
    page/       HTML, CSS and a script
"""

from .routes import Inspector

__all__ = ["Inspector"]
