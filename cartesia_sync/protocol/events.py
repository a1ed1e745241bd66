"""What the service sends: one class for each event type, which is also its JSON shape and its decoder.

Sources: the service's AsyncAPI page ``api-reference/tts/websocket`` and the official client's type
``WebsocketResponse``, whose attribute names these classes keep. Fields that the service adds later are kept in
``extra``, and fields of an odd type in ``unreadable``; a type that is not known here arrives as ``Unknown``, and ends
nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional, Protocol, Union

from msgspec import field

from .models.base import Fixed, Open
from .models.plain import NO_DEFAULT, Member

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ChunkFormat(Protocol):
    """Turns a chunk's bytes into samples. The context that receives the chunk attaches it, and knows the encoding."""

    def samples(self, audio: bytes) -> NDArray[np.float32]:
        """Return float32 samples, shape (n,), -1 to 1."""

    def raw(self, audio: bytes) -> NDArray[np.int16]:
        """Return 16-bit integer samples, shape (n,)."""


_UNREADABLE = "unreadable_fields"


def _check_lengths(names: list[str], start: list[float], end: list[float]) -> None:
    if not len(names) == len(start) == len(end):
        raise ValueError(f"{len(names)} names, {len(start)} start times and {len(end)} end times")


class WordTimestamps(Fixed):
    """When each word is spoken: three lists of one length, times in seconds from the context's start.

    Raises:
        ValueError: The lists are of different lengths.
    """

    words: list[str]
    start: list[float]
    end: list[float]

    def __post_init__(self) -> None:
        _check_lengths(self.words, self.start, self.end)


class PhonemeTimestamps(Fixed):
    """When each phoneme (IPA) is spoken: three lists of one length, times in seconds from the context's start.

    Raises:
        ValueError: The lists are of different lengths.
    """

    phonemes: list[str]
    start: list[float]
    end: list[float]

    def __post_init__(self) -> None:
        _check_lengths(self.phonemes, self.start, self.end)


class BaseEvent(Open, kw_only=True):
    """What all events have in common.

    Attributes:
        context_id: The context that the event belongs to; None only on an ``Error`` of the whole connection.
        done: Whether this is the last event of its context.
        status_code: An HTTP-like status; 206 on a part, and not to be relied on.
    """

    context_id: Optional[str] = None
    done: bool = False
    status_code: Optional[int] = None

    @property
    def unreadable(self) -> dict[str, Any]:
        """The fields that could not be read, or not as a whole, by name: their values as the service sent them.

        Such a field has its default in the event. Of timestamps the entries that could be read are kept.
        """
        found: dict[str, Any] = self.__dict__.get(_UNREADABLE, {})
        return found

    def _members(self) -> Iterator[Member]:
        """Return the fields as the service sends them; what could not be read as it came."""
        unreadable, name = self.unreadable, self.__struct_config__.tag
        if name is not None:
            yield Member("type", "type", name)
        for member in super()._members():
            default = None if member.default is None else NO_DEFAULT  # others are ours, for what was left out
            if member.sent_name in unreadable:
                yield member._replace(value=unreadable[member.sent_name], is_set=True, default=default)
            else:
                yield member._replace(default=default)

    def _settable(self) -> set[str]:
        names = super()._settable() | self.extra.keys()  # those too, as the official client has it for events
        return names if self.__struct_config__.tag is None else names | {"type"}


class Chunk(BaseEvent, tag_field="type", tag="chunk", forbid_unknown_fields=True):
    """A piece of audio, in the encoding that the context asked for.

    Attributes:
        audio: The decoded bytes; empty where the service sent none. Need not hold whole samples.
        step_time: Milliseconds the service worked on it.
        flush_id: Which flush it belongs to, counted from 1; None where the service does not say.
    """

    type: ClassVar[Literal["chunk"]] = "chunk"
    audio: bytes = field(name="data", default=b"")
    step_time: Optional[float] = None
    flush_id: Optional[int] = None

    @property
    def data(self) -> str:
        """The audio in base64, as the service sent it. Made anew at each access: prefer ``audio``."""
        return base64.b64encode(self.audio).decode("ascii")

    def samples(self) -> NDArray[np.float32]:
        """Return the chunk's audio as float32 samples, shape (n,), -1 to 1, whatever the encoding.

        A sample that is split between two chunks counts as the later one's.

        Raises:
            ValueError: If the chunk did not come out of a context's ``receive()``: only that knows the encoding.
        """
        return self._audio_format().samples(self.audio)

    def raw(self) -> NDArray[np.int16]:
        """Return the chunk's audio as 16-bit integer samples, shape (n,); see ``samples``."""
        return self._audio_format().raw(self.audio)

    def _members(self) -> Iterator[Member]:
        for member in super()._members():
            yield Member("data", "data", self.data) if member.name == "audio" else member

    def _settable(self) -> set[str]:
        return super()._settable() | {"data"}

    def _audio_format(self) -> ChunkFormat:
        audio_format: Optional[ChunkFormat] = self.__dict__.get("audio_format")
        if audio_format is None:
            raise ValueError(
                "this chunk does not know its encoding, since it did not come out of a context's receive(); "
                "its bytes are in .audio"
            )
        return audio_format


class Timestamps(BaseEvent, tag_field="type", tag="timestamps", forbid_unknown_fields=True):
    """When words are spoken; only with ``add_timestamps``."""

    type: ClassVar[Literal["timestamps"]] = "timestamps"
    word_timestamps: Optional[WordTimestamps] = None
    flush_id: Optional[int] = None

    @property
    def timestamps(self) -> Optional[WordTimestamps]:
        """The same, under the name that the official client's SSE events have for it besides."""
        return self.word_timestamps


class PhonemeTimestampsEvent(BaseEvent, tag_field="type", tag="phoneme_timestamps", forbid_unknown_fields=True):
    """When phonemes are spoken; only with ``add_phoneme_timestamps``."""

    type: ClassVar[Literal["phoneme_timestamps"]] = "phoneme_timestamps"
    phoneme_timestamps: Optional[PhonemeTimestamps] = None
    flush_id: Optional[int] = None

    @property
    def timestamps(self) -> Optional[PhonemeTimestamps]:
        """The same, under the name that the official client's SSE events have for it besides."""
        return self.phoneme_timestamps


class FlushDone(BaseEvent, tag_field="type", tag="flush_done", forbid_unknown_fields=True):
    """A flush has been carried out; the context stays open.

    Attributes:
        flush_id: Which flush, counted from 1.
    """

    type: ClassVar[Literal["flush_done"]] = "flush_done"
    flush_done: bool = True
    flush_id: Optional[int] = None


class Done(BaseEvent, tag_field="type", tag="done", forbid_unknown_fields=True):
    """The context is complete; nothing follows."""

    type: ClassVar[Literal["done"]] = "done"
    done: bool = True


class Error(BaseEvent, tag_field="type", tag="error", forbid_unknown_fields=True):
    """The service refused something.

    Versions before 2026-03-01 send one text, ``Title: message``; it is parted here, so that ``title`` and ``message``
    can be read with every version.

    Attributes:
        done: Whether it ends the context; documented as always true.
        error_code: The service's machine-readable code, such as ``voice_not_found``, or None.
        title: A short description, or None.
        message: A sentence, or None.
        request_id: The service's identifier of the connection, or None.
        doc_url: Where the service documents the error, or None.
    """

    type: ClassVar[Literal["error"]] = "error"
    done: bool = True
    error_code: Optional[str] = None
    title: Optional[str] = None
    message: Optional[str] = None
    request_id: Optional[str] = None
    doc_url: Optional[str] = None
    legacy_text: Optional[str] = field(name="error", default=None)

    def __post_init__(self) -> None:
        if self.legacy_text is not None and self.title is None and self.message is None:
            self.title, self.message = _parted(self.legacy_text)

    def _members(self) -> Iterator[Member]:
        parted = self.legacy_text is not None and (self.title, self.message) == _parted(self.legacy_text)
        for member in super()._members():
            if member.name == "legacy_text":
                yield member._replace(name="error")
            elif parted and member.name in ("title", "message"):
                yield member._replace(is_set=False)
            else:
                yield member

    def _settable(self) -> set[str]:
        return super()._settable() | {"error"}

    @property
    def error(self) -> str:
        """The title and the message in one text, as the official client words it."""
        if self.legacy_text:
            return self.legacy_text
        return ": ".join(part for part in (self.title, self.message) if part) or "unknown error"


def _parted(text: str) -> tuple[Optional[str], str]:
    """Return the title and the message of one text."""
    title, colon, message = text.partition(": ")
    return (title, message) if colon else (None, text)


class Unknown(BaseEvent):
    """An event of a type that this version does not know.

    Attributes:
        fields: The whole event as it came.
    """

    fields: dict[str, Any]

    def _members(self) -> Iterator[Member]:
        return (Member(name, name, value) for name, value in self.fields.items())

    def _settable(self) -> set[str]:
        return set(self.fields)

    @property
    def type(self) -> Literal["unknown"]:
        """The type as the service named it.

        To a type checker it is a name that no other event has, or ``event.type == "chunk"`` would narrow nothing.
        """
        name: Any = self.fields["type"]
        return name  # type: ignore[no-any-return]  # see above


def shift(event: Event, seconds: float, flushes: int) -> None:
    """Move an event's times and flush number, where it has any, by so much."""
    times: Union[WordTimestamps, PhonemeTimestamps, None] = None
    if isinstance(event, Timestamps):
        times = event.word_timestamps
    elif isinstance(event, PhonemeTimestampsEvent):
        times = event.phoneme_timestamps
    if times is not None:
        times.start = [each + seconds for each in times.start]
        times.end = [each + seconds for each in times.end]
    if isinstance(event, (Chunk, Timestamps, PhonemeTimestampsEvent, FlushDone)) and event.flush_id is not None:
        event.flush_id += flushes


Event = Union[Chunk, Timestamps, PhonemeTimestampsEvent, FlushDone, Done, Error, Unknown]
