"""A local server of the same protocol, with a real voice: for demos, for tests, for work without a key or network.

    with LocalServer() as server: ...

It shares no code with the client, and the client never imports it. Needs the extra ``cartesia-sync[local]``.

Rooms, from the ground up; each takes from those before it:

    faults       what can go wrong, as values           rules        the switches
    companding   mu-law and A-law                       sound        samples: resampling, loudness, encodings (numpy)
    timing       when words and phonemes are heard      transcript   sentences and tags
    worker       the process that holds eSpeak NG       speech       text to sound, through that process
    messages     the JSON of both directions            ledger       what was seen; all that threads share
    respelling   words spoken otherwise than written    tokens       access tokens, signed and read
    reading      sentences in, pieces of audio out      contexts     one context's life on a socket
    exchange     one HTTP request and its answer        shelf        things with ids, and lists in pages
    admission    who may come in                        connection   one socket: reading, taking turns, faults

    speaking, changing, voices (with accents), dictionaries, training, access: a noun of the HTTP side each
    containers   raw, WAV and MP3                       app          routes and handshakes
    server       LocalServer: thread, loop, start and stop
"""

from __future__ import annotations

try:
    from .server import LocalServer
except ImportError as exc:
    # Only what the extra brings; anything else that is missing should say its own name.
    if exc.name is None or exc.name.partition(".")[0] not in ("aiohttp", "multidict"):
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
    "Silence",
    "StallAnswer",
    "StopReading",
    "Unfinished",
    "UnknownEvent",
    "Upload",
]
