"""A local server of the same protocol, with a real voice: for demos, for tests, for work without a key or network.

    with LocalServer() as server: ...

It shares no code with the client, and the client never imports it. Needs the extra ``cartesia-sync[local]``.

Rooms, from the ground up; each imports only from those before it:

    voice/        text to sound, without HTTP: eSpeak NG and its process, samples, encodings, containers, transcripts,
                  times of words and phonemes, pronunciation
    hearing/      sound to text: what the voice has spoken is known again; turns; PocketSphinx in a process of its own
    requests      what the client sends                 events       what the server sends
    admission     API keys, access tokens, and web pages
    peer_protocol what stands between a socket and aiohttp
    memory        is given back to the system
    faults        what can go wrong, one class each     fault_plan   which faults are still to be applied, and to what
    settings      the server's options                  recorder     what the server has seen
    generation    a text spoken sentence by sentence, at the pace and within the limits that the options set
    rest/         HTTP: ``responder`` (one request and its answer), ``store``, and one resource a file
    websocket/    a connection, and the contexts on it; a session that listens
    app           routes and handshakes
    server        LocalServer: thread, loop, start and stop
"""

from __future__ import annotations

try:
    from .server import LocalServer
except ImportError as exc:
    # Only what the extra installs; for anything else that is missing, the usual message is right.
    if exc.name is None or exc.name.partition(".")[0] not in ("aiohttp", "jwt", "multidict", "soxr"):
        raise
    raise ImportError(f"the local server needs {exc.name}: pip install 'cartesia-sync[local]'", name=exc.name) from exc
from .faults import (
    Binary,
    Close,
    ContextFault,
    CutAnswer,
    Delay,
    Eof,
    ErrorEvent,
    ExtraFields,
    Fault,
    Garbage,
    Hold,
    InvalidFrame,
    LateFrames,
    Refuse,
    RefuseRequest,
    RequestFault,
    Reset,
    Silence,
    StallAnswer,
    StopReading,
    Unfinished,
    UnknownEvent,
)
from .recorder import Handshake, Heard, Request, Upload
from .settings import ServerOptions

__all__ = [
    "Binary",
    "Close",
    "ContextFault",
    "CutAnswer",
    "Delay",
    "Eof",
    "ErrorEvent",
    "ExtraFields",
    "Fault",
    "Garbage",
    "Handshake",
    "Heard",
    "Hold",
    "InvalidFrame",
    "LateFrames",
    "LocalServer",
    "Refuse",
    "RefuseRequest",
    "Request",
    "RequestFault",
    "Reset",
    "ServerOptions",
    "Silence",
    "StallAnswer",
    "StopReading",
    "Unfinished",
    "UnknownEvent",
    "Upload",
]
