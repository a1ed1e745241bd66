"""The objects of the calls that voice agents take; see ``core``."""

from __future__ import annotations

from datetime import datetime
from typing import Optional

from msgspec import field

from .base import Record


class LogEvent(Record):
    """Something that the agent's code noted in a call.

    Attributes:
        event: What it is named.
        metadata: What was noted with it.
        timestamp: When it was heard of, in seconds from the call's start.
    """

    event: str
    metadata: dict[str, str]
    timestamp: float


class LogMetric(Record):
    """A number that the agent's code noted in a call.

    Attributes:
        name: What it measures.
        value: The number.
        timestamp: When it was heard of, in seconds from the call's start.
    """

    name: str
    value: float
    timestamp: float


class TextChunk(Record):
    """A piece of a turn's text.

    Attributes:
        text: What was said.
        start_timestamp: When, in seconds from the call's start.
    """

    text: str
    start_timestamp: float


class ToolCall(Record):
    """A tool that the agent used in a turn.

    Attributes:
        id: The use's own.
        name: The tool's.
        arguments: What the tool was given.
    """

    id: str
    name: str
    arguments: dict[str, str]


class AgentTranscript(Record):
    """A turn of a call.

    Attributes:
        role: ``user``, ``assistant`` (the agent) or ``system`` (what the agent's code noted).
        start_timestamp: Seconds from the call's start.
        end_timestamp: Seconds from the call's start.
        end_reason: Why the agent's turn ended: ``call_ended``, ``interrupted`` or ``tts_completed``.
        log_event: What the agent's code noted.
        log_metric: The number that the agent's code noted.
        text: What was said.
        text_chunks: The same in pieces.
        tool_calls: What the agent did besides speaking.
        tts_ttfb: How long the agent's first audio took, in seconds.
        vad_buffer_ms: How long was waited for the user to go on, in milliseconds.
    """

    role: str
    start_timestamp: float
    end_timestamp: float
    end_reason: Optional[str] = None
    log_event: Optional[LogEvent] = None
    log_metric: Optional[LogMetric] = None
    text: Optional[str] = None
    text_chunks: Optional[list[TextChunk]] = None
    tool_calls: Optional[list[ToolCall]] = None
    tts_ttfb: Optional[float] = None
    vad_buffer_ms: Optional[int] = None


class TelephonyParams(Record):
    """Who called whom, where a call was made by telephone.

    Attributes:
        from_: One number; ``from`` in the service's JSON. The official client says it is the agent's.
        to: The other number, by the same account the caller's.
    """

    from_: str = field(name="from")
    to: str


class AgentCall(Record):
    """A call that an agent took.

    Attributes:
        id: Its own.
        agent_id: The agent's.
        status: ``active``, ``completed``, ``failed`` or ``cancelled``.
        deployment_id: The deployment that took it.
        start_time: When it began.
        end_time: When it ended.
        error_message: What went wrong.
        summary: A short account of it, made by the service.
        telephony_params: Who called whom, where it was made by telephone.
        transcript: Its turns; in a list only where ``expand="transcript"`` asks for them.
    """

    id: str
    agent_id: str
    status: str
    deployment_id: Optional[str] = None
    start_time: Optional[datetime] = None
    end_time: Optional[datetime] = None
    error_message: Optional[str] = None
    summary: Optional[str] = None
    telephony_params: Optional[TelephonyParams] = None
    transcript: Optional[list[AgentTranscript]] = None
