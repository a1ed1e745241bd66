"""Executors that the command knows by name; Dask is met here alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any, NamedTuple, Optional

from ..extras import missing

SEMAPHORE = "cartesia-sync"
"""The name of the limit on a Dask cluster: all batches on it share it."""


class Opened(NamedTuple):
    """An executor, and the limit that its workers share, where it has one of its own."""

    executor: Executor
    limit: Any


@contextlib.contextmanager
def opened(asked: str, slots: Optional[int]) -> Iterator[Opened]:
    """Open an executor for the block.

    Args:
        asked: ``dask=ADDRESS`` of a scheduler, such as ``dask=tcp://10.0.0.5:8786``.
        slots: How many its workers may speak at once, together; None: the limit is no affair of the executor's.

    Raises:
        ValueError: It is none.
        ImportError: The extra is not installed.
        OSError: Nobody answers there.
    """
    kind, _, address = asked.partition("=")
    if kind != "dask" or not address:
        raise ValueError(f"an executor is dask=ADDRESS, such as dask=tcp://10.0.0.5:8786; got {asked!r}")
    try:
        import distributed
    except ImportError as error:
        raise missing("dask", "Dask needs distributed", cause=error) from error
    dask: Any = distributed  # it has no type hints
    with dask.Client(address, set_as_default=True) as client:
        limit = None if slots is None else dask.Semaphore(max_leases=slots, name=SEMAPHORE)
        # Not pure: what failed is tried again with the same arguments.
        yield Opened(client.get_executor(pure=False), limit)
