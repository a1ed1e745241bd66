"""A client for Cartesia's speech API that plain threads can use.

One reader thread a connection takes frames off a blocking WebSocket and puts events into one ``queue.Queue`` a context;
any number of threads consume their contexts at the same time.

Importing the package starts no thread, opens nothing, and loads nothing: the client comes when the first of its names
is asked for, and numpy and the local server later still. The names are in ``_public``.
"""

from __future__ import annotations

from ._version import __version__ as __version__

TYPE_CHECKING = False  # true to type checkers, as typing's is, which takes as long to load as the whole command does
if TYPE_CHECKING:
    from ._public import *  # noqa: F403  # what users see; all of it is named there
    from ._public import __all__ as __all__
else:

    def __getattr__(name: str) -> object:
        """Load the client when it is first asked for: the command need not wait for it to say what it can do."""
        if name.startswith("__") and name != "__all__":  # which pickle, inspect and others ask every module for
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "_public":
            raise AttributeError(name)  # it is being imported, and asked for by that
        from . import _public

        for each, value in dict(vars(_public)).items():  # a copy: other threads may load more
            if not each.startswith("__") or each == "__all__":
                globals().setdefault(each, value)
        if name in globals():  # a module of the package too, by now
            return globals()[name]
        try:
            return getattr(_public, name)
        except AttributeError as error:
            raise AttributeError(str(error).replace(_public.__name__, __name__)) from None

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})


del TYPE_CHECKING  # it is no name of ours
