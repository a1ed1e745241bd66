"""The switches: what the server does where the service's papers are silent or contradict each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

__all__ = ["ServerOptions"]


@dataclass(frozen=True)
class ServerOptions:
    """One server's switches, frozen before it starts. ``LocalServer`` says what each is for."""

    pace: Optional[float]
    idle_timeout: Optional[float]
    concurrency_limit: Optional[int]
    expiry: Optional[float]
    chunk_bytes: int
    default_buffer_delay: float
    cancel_stops: bool
    done_after_cancel: bool
    done_at_expiry: bool
    reuse_ended_ids: bool
    flush_id_on_chunks: bool
    early_flush_done: bool
    unasked_flush_done: bool
    timestamps_restart: bool
    strict_fields: bool
    strict_context_ids: bool
    pings_keep_open: bool

    def __post_init__(self) -> None:
        if self.chunk_bytes < 4:
            raise ValueError("chunk_bytes must hold one sample of the widest encoding: 4 or more")
        if self.pace is not None and not self.pace > 0:
            raise ValueError("pace must be above 0; None is as fast as it can")
        if self.concurrency_limit is not None and self.concurrency_limit < 1:
            raise ValueError("concurrency_limit must be 1 or more; None is no limit")
