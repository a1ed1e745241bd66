"""Runs pieces of code one after the other, each as a program of its own, and says how each ended.

A script, for the official client and ours each run in a process of their own. It reads ``[{"name", "code", "folder",
"arguments", "environment"}, ...]`` as JSON from standard input, and writes ``{name: {"error", "output"}}``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
from typing import Any


def outcome_of(item: dict[str, Any]) -> dict[str, Any]:
    """Run one; ``error`` is the exception's type, ``exit`` and its status for ``sys.exit``, or None."""
    os.chdir(item["folder"])
    os.environ.update(item["environment"])
    sys.argv = [item["name"], *item["arguments"]]
    output, error = io.StringIO(), None
    with contextlib.redirect_stdout(output):
        try:
            exec(compile(item["code"], item["name"], "exec"), {"__name__": "__main__"})
        except SystemExit as ended:
            error = f"exit {ended.code}" if ended.code else None
        except Exception as failed:  # whatever the code raises is what is asked for
            error = type(failed).__name__
            traceback.print_exc(file=output)
    return {"error": error, "output": output.getvalue()}


if __name__ == "__main__":
    print(json.dumps({item["name"]: outcome_of(item) for item in json.load(sys.stdin)}))
