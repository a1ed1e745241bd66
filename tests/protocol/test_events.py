from __future__ import annotations

import base64
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cartesia_sync.protocol.events import (
    BaseEvent,
    Chunk,
    Done,
    Error,
    Event,
    FlushDone,
    PhonemeTimestampsEvent,
    Timestamps,
    Unknown,
)

KNOWN: dict[str, type[BaseEvent]] = {
    "chunk": Chunk,
    "timestamps": Timestamps,
    "phoneme_timestamps": PhonemeTimestampsEvent,
    "flush_done": FlushDone,
    "done": Done,
    "error": Error,
}


class Loudness:
    """Stands for the context that hears a chunk, and knows its encoding: one byte a sample."""

    def samples(self, audio: bytes) -> NDArray[np.float32]:
        return np.frombuffer(audio, np.uint8).astype(np.float32)

    def raw(self, audio: bytes) -> NDArray[np.int16]:
        return np.frombuffer(audio, np.uint8).astype(np.int16)


@pytest.mark.parametrize(("name", "kind"), list(KNOWN.items()), ids=list(KNOWN))
def test_each_event_knows_its_type_on_the_class_and_on_itself(name: str, kind: Any) -> None:
    assert kind.type == name
    assert kind().type == name
    assert kind.__struct_config__.tag == name


@pytest.mark.parametrize("kind", KNOWN.values(), ids=list(KNOWN))
def test_every_event_has_what_all_have_in_common(kind: type[BaseEvent]) -> None:
    event = kind(context_id="a", status_code=206)
    assert (event.context_id, event.status_code, event.extra) == ("a", 206, {})
    assert kind() == kind()
    assert kind(context_id="a") != kind(context_id="b")
    assert kind.__name__ in repr(event)


def test_only_done_and_error_end_a_context_by_default() -> None:
    assert {name for name, kind in KNOWN.items() if kind().done} == {"done", "error"}


def test_the_union_holds_every_class_of_event() -> None:
    assert set(get_args(Event)) == {*KNOWN.values(), Unknown}


# ---- chunks


@given(st.binary())
def test_data_is_the_audio_in_base64(audio: bytes) -> None:
    assert Chunk(audio=audio).data == base64.b64encode(audio).decode()


def test_a_chunk_that_no_context_heard_says_why_it_has_no_samples() -> None:
    for ask in (Chunk(audio=b"ab").samples, Chunk(audio=b"ab").raw):
        with pytest.raises(ValueError, match=r"did not come out of a context's receive\(\); its bytes are in \.audio"):
            ask()


def test_a_chunk_hands_its_audio_to_who_knows_the_encoding() -> None:
    chunk = Chunk(audio=b"\x00\xff")
    chunk.__dict__["audio_format"] = Loudness()
    assert chunk.samples().tolist() == [0.0, 255.0]
    assert chunk.raw().tolist() == [0, 255]
    assert chunk == Chunk(audio=b"\x00\xff")


def test_the_extra_fields_of_one_event_are_not_anothers() -> None:
    Done().extra["new"] = 1
    assert Done().extra == {}


# ---- errors


def test_an_error_of_old_is_parted_when_it_is_made() -> None:
    event = Error(legacy_text="Title: message: more")
    assert (event.title, event.message, event.error) == ("Title", "message: more", "Title: message: more")
    event = Error(legacy_text="no colon")
    assert (event.title, event.message, event.error) == (None, "no colon", "no colon")


@pytest.mark.parametrize(
    ("title", "message", "words"),
    [("t", "m", "t: m"), ("t", None, "t"), (None, "m", "m"), (None, None, "unknown error"), ("", "", "unknown error")],
)
def test_an_errors_words_are_its_title_and_message(title: str | None, message: str | None, words: str) -> None:
    assert Error(title=title, message=message).error == words


def test_the_words_of_an_error_are_the_official_clients() -> None:
    response = pytest.importorskip("cartesia.types.websocket_response")
    official = response.Error(done=True, type="error", title="Too many", message="At most 2.")
    assert Error(title="Too many", message="At most 2.").error == official.error
