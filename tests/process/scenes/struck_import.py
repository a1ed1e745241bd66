"""The command, with a signal that comes during an import, where an exception would be lost, with a traceback."""

from __future__ import annotations

import os
import sys
from typing import Any

_module, _number, *_arguments = sys.argv[1:]


class Struck:
    def __del__(self) -> None:
        os.kill(os.getpid(), int(_number))
        for _ in range(100):
            pass  # the handler runs between two of these


class Finder:
    """Asked first for every module, and finds none."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name == _module:
            sys.meta_path.remove(self)
            if "cartesia_sync.cli.interrupts" not in sys.modules:
                raise KeyboardInterrupt  # as Python's own handler does, while the command has none
            Struck()


sys.meta_path.insert(0, Finder())
sys.argv = ["cartesia-sync", *_arguments]
from cartesia_sync.cli import main  # noqa: E402  # watched too

sys.exit(main())
