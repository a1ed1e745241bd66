"""What was measured while a context was spoken, as values."""

from __future__ import annotations

from typing import Literal, NamedTuple, Optional

Outcome = Literal["done", "error", "cancelled", "lost", "failed"]
"""How a context ended: whole; by the service's error; by ``cancel()``; with its connection; by a timeout, a limit or
what else ended it on this side."""


class Metrics(NamedTuple):
    """What one context took and gave; seconds by the monotonic clock. Before the context's end, what is known so far.

    Attributes:
        waited_for_slot: Seconds that it waited for a slot of the client's limit; 0 without a limit.
        connected_in: Seconds that its pushes waited for a connection; 0 where one was open.
        first_audio: Seconds from its first message's leaving to its first audio; None where no audio came. The waits
            above are not in it.
        longest_gap: The most seconds between two pieces of its audio, as they arrived; 0 with one piece or none.
        audio_seconds: The length of its audio.
        characters: How many characters of text were sent.
        reused_connection: Whether its first push found an open connection.
        refused: How often the service refused it with 429.
    """

    waited_for_slot: float = 0.0
    connected_in: float = 0.0
    first_audio: Optional[float] = None
    longest_gap: float = 0.0
    audio_seconds: float = 0.0
    characters: int = 0
    reused_connection: bool = False
    refused: int = 0


class SpokenContext(NamedTuple):
    """What ``Cartesia(on_spoken=)`` is called with, when the end of a context has been received.

    Attributes:
        context_id: The context's id.
        request_id: The service's identifier of the request or connection, or None where it gives none.
        outcome: How the context ended: ``done``, ``error`` (the service's), ``cancelled``, ``lost`` (the connection
            was), or ``failed`` (a timeout, a limit, or what else ended it on this side).
        transcripts: The pieces of text that were sent, in order.
        metrics: What was measured.
    """

    context_id: str
    request_id: Optional[str]
    outcome: Outcome
    transcripts: tuple[str, ...]
    metrics: Metrics
