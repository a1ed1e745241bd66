"""Streaming speech to text, as values: what the service sends, what it is told, and what a session's events add up to.

There are two endpoints, each one session a socket. **Manual** (``/stt/websocket``): the client says ``finalize`` and
gets what was said since; texts are deltas. **Auto** (``/stt/turns/websocket``): the service finds where the user's
turns begin and end; texts are cumulative in a turn.

Sources: the types of the official client 4.2.0 (``types/stt``), whose names the classes keep, and its frames as they
were seen on the wire; the docs pages ``use-the-api/stt/turns`` and ``use-the-api/stt/compare-endpoints``. Fields that
the service adds later are kept in ``extra``; a type that is not known here arrives as ``Unknown``, and ends nothing.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Optional, Union, cast

from . import codec
from .events import Unknown, WordTimestamps
from .lifecycle import TURN, TurnMove, TurnState
from .models.base import Open
from .requests import Omit

ENCODINGS: Mapping[str, int] = MappingProxyType(
    {"pcm_s16le": 2, "pcm_s32le": 4, "pcm_f16le": 2, "pcm_f32le": 4, "pcm_mulaw": 1, "pcm_alaw": 1}
)
"""Each encoding's bytes per sample. Audio always has one channel. Source: the official type ``STTEncoding``."""

MOST_KEYTERMS, MOST_KEYTERM_CHARACTERS = 100, 1200
"""Source: the official client's docstring of ``keyterm``. Above that the service lets no session begin."""

_SILENT_BYTES = {"pcm_mulaw": b"\xff", "pcm_alaw": b"\xd5"}


class AudioFormat(NamedTuple):
    """What is sent: its encoding, and its sample rate in Hz; one channel, no header."""

    encoding: str
    sample_rate: int


class Mode(enum.Enum):
    """Who says where a turn ends; the value is the endpoint's path."""

    MANUAL = "/stt/websocket"
    AUTO = "/stt/turns/websocket"


# ---- events


class TimedWord(NamedTuple):
    """When a word was said: seconds from the beginning of the session's audio."""

    word: str
    start: float
    end: float


class _SttEvent(Open, kw_only=True):
    """What all events of a session have in common.

    Attributes:
        request_id: The service's identifier of the connection; it is the same in all turns.
    """

    request_id: Optional[str] = None

    @property
    def unreadable(self) -> dict[str, Any]:
        """The fields that could not be read, or not as a whole, by name: their values as the service sent them."""
        found: dict[str, Any] = self.__dict__.get("unreadable_fields", {})
        return found


class STTManualFinalizeTranscriptResponse(_SttEvent, tag_field="type", tag="transcript", forbid_unknown_fields=True):
    """A piece of the transcript.

    Attributes:
        text: What was said since the last piece with ``is_final``. All final pieces joined as they are make the whole;
            they carry their own spaces, and may part a word.
        is_final: Whether it will not change any more.
        duration: Seconds of audio that the piece was made of, or None.
        language: The audio's language (ISO 639-1), or None.
        words: When the words were said, in the official client's shape, or None where the service did not say.
    """

    type: ClassVar[Literal["transcript"]] = "transcript"
    text: str = ""
    is_final: bool = False
    duration: Optional[float] = None
    language: Optional[str] = None
    words: Optional[list[WordTimestamps]] = None

    @property
    def timed_words(self) -> list[TimedWord]:
        """The words one by one; empty where the service did not say when they were said."""
        return [TimedWord(*each) for group in self.words or () for each in zip(group.words, group.start, group.end)]


class STTManualFinalizeFlushDoneResponse(_SttEvent, tag_field="type", tag="flush_done", forbid_unknown_fields=True):
    """The answer to ``finalize``: all audio before it was transcribed; comes without any transcript if none was due."""

    type: ClassVar[Literal["flush_done"]] = "flush_done"


class STTManualFinalizeDoneResponse(_SttEvent, tag_field="type", tag="done", forbid_unknown_fields=True):
    """The answer to ``close``: all audio was transcribed, and the service closes the connection next."""

    type: ClassVar[Literal["done"]] = "done"


class STTAutoFinalizeConnected(_SttEvent, tag_field="type", tag="connected", forbid_unknown_fields=True):
    """The session has begun. Audio may be sent before; where the settings are refused an error comes in its place."""

    type: ClassVar[Literal["connected"]] = "connected"


class STTAutoFinalizeTurnStart(_SttEvent, tag_field="type", tag="turn.start", forbid_unknown_fields=True):
    """The user has begun to speak.

    Attributes:
        transcript: What was heard of the turn, where the service says it; not documented.
    """

    type: ClassVar[Literal["turn.start"]] = "turn.start"
    transcript: Optional[str] = None


class STTAutoFinalizeTurnUpdate(_SttEvent, tag_field="type", tag="turn.update", forbid_unknown_fields=True):
    """What the user has said in this turn so far.

    Attributes:
        transcript: All of the turn, not what is new; may be empty, or the same as before.
    """

    type: ClassVar[Literal["turn.update"]] = "turn.update"
    transcript: str = ""


class STTAutoFinalizeTurnEagerEnd(_SttEvent, tag_field="type", tag="turn.eager_end", forbid_unknown_fields=True):
    """The turn may be over: ``turn.end`` or ``turn.resume`` follows.

    Attributes:
        transcript: All of the turn.
    """

    type: ClassVar[Literal["turn.eager_end"]] = "turn.eager_end"
    transcript: str = ""


class STTAutoFinalizeTurnResume(_SttEvent, tag_field="type", tag="turn.resume", forbid_unknown_fields=True):
    """The turn was not over: the user goes on."""

    type: ClassVar[Literal["turn.resume"]] = "turn.resume"


class STTAutoFinalizeTurnEnd(_SttEvent, tag_field="type", tag="turn.end", forbid_unknown_fields=True):
    """The turn is over.

    Attributes:
        transcript: All of the turn; may be empty, where only noise was heard. Those of all turns joined as they are
            make the session's.
    """

    type: ClassVar[Literal["turn.end"]] = "turn.end"
    transcript: str = ""


class STTErrorResponse(_SttEvent, tag_field="type", tag="error", forbid_unknown_fields=True):
    """The service refused something, or failed.

    Attributes:
        message: A sentence.
        title: A short description.
        status_code: As an HTTP status, or None.
        error_code: The service's machine-readable code, or None.
        doc_url: Where the service documents the error, or None.
    """

    type: ClassVar[Literal["error"]] = "error"
    message: str = ""
    title: str = ""
    status_code: Optional[int] = None
    error_code: Optional[str] = None
    doc_url: Optional[str] = None

    @property
    def error(self) -> str:
        """The title and the message in one text."""
        return ": ".join(part for part in (self.title, self.message) if part) or "unknown error"


class STTReconnected(_SttEvent, tag_field="type", tag="reconnected", forbid_unknown_fields=True):
    """A session was lost, and another has begun in its place, as ``on_reconnecting`` asks for; the client's own event.

    What was said between the two was not heard.

    Attributes:
        code: The close code of the lost one, or None where none came.
        lost: What was heard of the turn, or the piece, that was on; its end is lost.
    """

    type: ClassVar[Literal["reconnected"]] = "reconnected"
    code: Optional[int] = None
    lost: str = ""


@dataclasses.dataclass(frozen=True)
class ReconnectingEvent:
    """What ``on_reconnecting`` is called with, before each attempt; in the official client's words.

    Attributes:
        attempt: Which attempt it is, counted from 1.
        max_attempts: How many there will be at most.
        delay: Seconds until this one.
        close_code: Why the session was lost; 1006 where no close frame came.
        extra_query: What is added to the address.
        extra_headers: What is sent with the handshake besides.
    """

    attempt: int
    max_attempts: int
    delay: float
    close_code: int
    extra_query: Mapping[str, object]
    extra_headers: Mapping[str, str]


STTManualFinalizeWebsocketResponse = Union[
    STTManualFinalizeTranscriptResponse,
    STTManualFinalizeFlushDoneResponse,
    STTManualFinalizeDoneResponse,
    STTErrorResponse,
    Unknown,
]
STTAutoFinalizeWebsocketResponse = Union[
    STTAutoFinalizeConnected,
    STTAutoFinalizeTurnStart,
    STTAutoFinalizeTurnUpdate,
    STTAutoFinalizeTurnEagerEnd,
    STTAutoFinalizeTurnResume,
    STTAutoFinalizeTurnEnd,
    STTErrorResponse,
    Unknown,
]
SttEvent = Union[STTManualFinalizeWebsocketResponse, STTAutoFinalizeWebsocketResponse, STTReconnected]
"""Whatever a session gives."""

_MANUAL: tuple[Any, ...] = (
    STTManualFinalizeTranscriptResponse,
    STTManualFinalizeFlushDoneResponse,
    STTManualFinalizeDoneResponse,
    STTErrorResponse,
)
_AUTO: tuple[Any, ...] = (
    STTAutoFinalizeConnected,
    STTAutoFinalizeTurnStart,
    STTAutoFinalizeTurnUpdate,
    STTAutoFinalizeTurnEagerEnd,
    STTAutoFinalizeTurnResume,
    STTAutoFinalizeTurnEnd,
    STTErrorResponse,
)
_DECODERS = {Mode.MANUAL: codec.decoder_of(_MANUAL), Mode.AUTO: codec.decoder_of(_AUTO)}
_KNOWN: dict[Mode, dict[str, Any]] = {
    Mode.MANUAL: {kind.type: kind for kind in _MANUAL},
    Mode.AUTO: {kind.type: kind for kind in _AUTO},
}


def decode(message: bytes, mode: Mode, unreadable: Optional[Counter[str]] = None) -> SttEvent:
    """Read one message of the service.

    A field of an odd type has its default, and is kept in the event's ``unreadable``. Older errors, which have
    ``error`` for ``message`` and ``code`` for ``status_code``, are read too, and words in both shapes that the service
    documents: a list of ``{words, start, end}`` and a list of ``{word, start, end}``.

    Args:
        message: Its bytes.
        mode: Which endpoint sent it.
        unreadable: Where fields that could not be read are counted, by name.

    Raises:
        MalformedEventError: It is not UTF-8, not JSON, not an object, or without a type.
    """
    event: Optional[SttEvent] = _DECODERS[mode](message)
    return _decode_leniently(message, mode, unreadable) if event is None else event


def _decode_leniently(message: bytes, mode: Mode, unreadable: Optional[Counter[str]]) -> SttEvent:
    """Read a message that is of no known shape: a new type, new fields, odd fields, or rubbish."""
    fields = codec.decode_fields(message)
    name = fields.get("type")
    if not isinstance(name, str):
        raise codec.malformed("an event has a type; the service sent one without")
    kind = _KNOWN[mode].get(name)
    if kind is None:
        return Unknown(fields=fields)
    if kind is STTManualFinalizeTranscriptResponse and fields.get("words"):
        fields = {**fields, "words": _words_in_groups(fields["words"])}
    elif kind is STTErrorResponse:
        fields = _newest_error(fields)
    event = cast(SttEvent, codec.shaped(fields, kind))
    if unreadable is not None:
        unreadable.update(event.unreadable.keys())
    return event


def _words_in_groups(words: Any) -> Any:
    """Put a list of single words into the official type's shape; anything else stays."""
    if not isinstance(words, list) or not all(isinstance(each, Mapping) and "word" in each for each in words):
        return words
    columns = {"words": "word", "start": "start", "end": "end"}
    return [{name: [each.get(one) for each in words] for name, one in columns.items()}]


def _newest_error(fields: dict[str, Any]) -> dict[str, Any]:
    found = dict(fields)
    if "message" not in found and isinstance(found.get("error"), str):
        found["message"] = found.pop("error")
    if "status_code" not in found and isinstance(found.get("code"), int):
        found["status_code"] = found.pop("code")
    return found


# ---- what the events add up to

_MOVES: dict[str, TurnMove] = {
    "turn.start": TurnMove.START,
    "turn.update": TurnMove.UPDATE,
    "turn.eager_end": TurnMove.EAGER_END,
    "turn.resume": TurnMove.RESUME,
    "turn.end": TurnMove.END,
}
_LEADS_TO = {
    TurnMove.START: TurnState.SPEAKING,
    TurnMove.UPDATE: TurnState.SPEAKING,
    TurnMove.EAGER_END: TurnState.EAGER_ENDED,
    TurnMove.RESUME: TurnState.SPEAKING,
    TurnMove.END: TurnState.IDLE,
}


class Hearing:
    """What the events of one session add up to. Written by one thread; others may read it at any time.

    Attributes:
        turn: Whether the user is speaking; always IDLE with manual finalizing.
        out_of_turn: How many events came that the table ``TURN`` does not allow in the turn's state. They are taken
            for what they say all the same.
    """

    def __init__(self) -> None:
        self._final: list[str] = []  # appended in one step
        self._pending = ""  # of the turn, or the piece, that may still change
        self._words: list[TimedWord] = []
        self.turn = TurnState.IDLE
        self.out_of_turn = 0

    def add(self, event: SttEvent) -> None:
        """Take one more event."""
        if isinstance(event, STTManualFinalizeTranscriptResponse):
            if event.is_final:
                self._words.extend(event.timed_words)
                self._settle(event.text)
            else:
                self._pending = event.text
            return
        move = _MOVES.get(event.type)
        if move is None:
            return
        expected = TURN[self.turn].get(move)
        self.out_of_turn += expected is None
        text = getattr(event, "transcript", None)
        if move is TurnMove.END:
            self._settle(text or "")
        elif text is not None:
            self._pending = text
        self.turn = expected or _LEADS_TO[move]

    def _settle(self, text: str) -> None:
        self._pending = ""
        self._final.append(text)

    @property
    def text(self) -> str:
        """All that was heard, with what may still change at its end."""
        return "".join([*self._final, self._pending])

    @property
    def pending(self) -> str:
        """What was heard and may still change: of the turn that is on, or the last piece."""
        return self._pending

    @property
    def final_pieces(self) -> int:
        """How many pieces or turns are final."""
        return len(self._final)

    def text_since(self, pieces: int) -> str:
        """Return the final text after so many pieces."""
        return "".join(self._final[pieces:])

    @property
    def words(self) -> list[TimedWord]:
        """When the words were said, as far as the service told."""
        return list(self._words)


# ---- what the service is told


class Request(enum.Enum):
    """What a text asks for; ``OTHER`` has no answer of its own."""

    FINALIZE = "finalize"
    CLOSE = "close"
    OTHER = "other"


_WORDS = {"finalize": Request.FINALIZE, "close": Request.CLOSE, "done": Request.CLOSE}
"""``done`` is what clients of version 2 send for ``close``."""


def encode_request(event: object, mode: Mode) -> bytes:
    """Write a command as it goes out: a bare word with manual finalizing, JSON with auto.

    Raises:
        ValueError: There is no such command.
        TypeError: It is no command at all.
    """
    if mode is Mode.MANUAL:
        if isinstance(event, str) and event in _WORDS:
            return event.encode()
        raise ValueError(f"a command is 'finalize' or 'close'; got {event!r}. Audio goes by send_raw()")
    fields = event.to_dict() if hasattr(event, "to_dict") else event
    if not isinstance(fields, Mapping):
        raise TypeError(
            'a command is a mapping, {"type": "close"} or {"type": "config", "turn": {...}}; '
            f"got {type(event).__name__}. Audio goes by send_raw()"
        )
    return codec.encode({name: value for name, value in fields.items() if value is not None})


def meaning_of(message: bytes, mode: Mode) -> Request:
    """Return what a text message asks the service for."""
    if mode is Mode.MANUAL:
        return _WORDS.get(message.decode("utf-8", "replace"), Request.OTHER)
    try:
        kind = codec.decode_answer(message)
    except ValueError:
        return Request.OTHER
    return Request.CLOSE if isinstance(kind, Mapping) and kind.get("type") == "close" else Request.OTHER


CLOSE_WORDS = {Mode.MANUAL: b"close", Mode.AUTO: b'{"type":"close"}'}


def silence(encoding: str, sample_rate: int, seconds: float) -> bytes:
    """Return so many seconds of silence, in whole samples."""
    return _SILENT_BYTES.get(encoding, b"\0") * (ENCODINGS[encoding] * round(seconds * sample_rate))


# ---- the query


def query_of(settings: Mapping[str, object], extra: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the query of a session's address, checked as far as is certain, in the official client's order.

    Args:
        settings: ``encoding``, ``model``, ``sample_rate``, ``keyterm`` and those of one mode; what is ``omit`` or None
            is left out.
        extra: Put over these. A list repeats its name.

    Raises:
        TypeError, ValueError: A setting is none that the service could take; the error names it.
    """
    given = {name: value for name, value in settings.items() if value is not None and not isinstance(value, Omit)}
    check_encoding(given.get("encoding"))
    check_sample_rate(given.get("sample_rate"))
    if not isinstance(given.get("model"), str) or not given["model"]:
        raise ValueError(f"model: expected a name such as 'ink-2', got {given.get('model')!r}")
    _check_keyterms(given.get("keyterm", ()))
    _check_thresholds(given)
    return [(name, text) for name, value in {**given, **extra}.items() for text in _texts(value)]


def check_encoding(encoding: object) -> None:
    """Refuse what is no encoding: with a wrong one the service gives no error, only nonsense.

    Raises:
        ValueError: It is none.
    """
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding: expected one of {', '.join(ENCODINGS)}; got {encoding!r}")


def check_sample_rate(rate: object) -> None:
    """Refuse what is no sample rate; which of them it takes, the service decides.

    Raises:
        ValueError: It is none.
    """
    if type(rate) is not int or rate <= 0:  # isinstance would let True pass
        raise ValueError(f"sample_rate: expected a whole number of Hz above 0, got {rate!r}")


def _check_keyterms(terms: object) -> None:
    if isinstance(terms, str) or not isinstance(terms, Sequence) or not all(isinstance(each, str) for each in terms):
        raise TypeError(f"keyterm: expected a list of texts, got {terms!r}")
    length = sum(map(len, terms))
    if len(terms) > MOST_KEYTERMS or length > MOST_KEYTERM_CHARACTERS:
        raise ValueError(
            f"keyterm: the service takes at most {MOST_KEYTERMS} terms of {MOST_KEYTERM_CHARACTERS} characters "
            f"together; got {len(terms)} of {length}"
        )


def _check_thresholds(given: Mapping[str, Any]) -> None:
    """Check the order alone: the service's newest ranges and defaults differ from those of its client."""
    order = ("turn_end_threshold", "turn_eager_end_threshold", "turn_start_threshold")
    told = [(name, given[name]) for name in order if name in given]
    for name, value in told:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name}: expected a number, got {value!r}")
    for (low, below), (high, above) in zip(told, told[1:]):
        if not below < above:
            raise ValueError(f"{low} has to be below {high}; got {below} and {above}")


def _texts(value: object) -> list[str]:
    if isinstance(value, (list, tuple)):
        return [text for each in value for text in _texts(each)]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return ["" if value is None else str(value)]
