"""Objects as plain dicts and as JSON; how it compares with the official client stands in test_official_wire."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from datetime import datetime, timezone
from typing import Any, Optional

import msgspec
import pytest

from cartesia_sync.protocol.codec import decode
from cartesia_sync.protocol.events import Chunk, Done, Error, Timestamps, Unknown, WordTimestamps
from cartesia_sync.protocol.models.base import Record, read
from cartesia_sync.protocol.voice_changer import decode_changed


class Leaf(Record):
    size: int
    word: Optional[str] = None


class Tree(Record):
    name: str
    leaves: list[Leaf]
    born: datetime
    class_: Optional[str] = msgspec.field(name="class", default=None)


SENT: dict[str, Any] = {
    "name": "oak",
    "leaves": [{"size": 1, "word": None}, {"size": 2}],
    "born": "2026-08-14T12:00:00.250000Z",
    "class": "tall",
    "height": {"m": None},
}
BORN = datetime(2026, 8, 14, 12, 0, 0, 250000, timezone.utc)


def test_a_record_gives_back_what_was_sent() -> None:
    tree = read(Tree, SENT)
    assert tree.to_dict() == {**SENT, "born": BORN}
    assert tree.to_dict(mode="json") == json.loads(tree.to_json()) == SENT
    assert tree.to_dict(use_api_names=False)["class_"] == "tall"
    assert tree.model_fields_set == {"name", "leaves", "born", "class_"}
    with pytest.raises(ValueError, match="mode: expected python or json, got 'xml'"):
        tree.to_dict(mode="xml")


def test_what_was_not_sent_is_none_where_it_is_asked_for() -> None:
    tree = read(Tree, {"name": None})
    assert tree.to_dict() == {"name": None}
    assert tree.model_dump() == {"name": None, "leaves": None, "born": None, "class_": None}
    assert tree.to_dict(exclude_none=True) == {}
    assert tree.model_fields_set == {"name"}
    tree.class_ = "small"
    assert tree.to_dict() == {"name": None, "class": "small"}
    assert read(Tree, SENT).leaves[0].to_dict(exclude_defaults=True) == {"size": 1}


def test_a_copy_knows_as_much() -> None:
    tree = read(Tree, {"name": None, "new": 1})
    for again in (copy.copy(tree), copy.deepcopy(tree), pickle.loads(pickle.dumps(tree))):
        assert again.to_dict() == {"name": None, "new": 1}


def test_of_a_record_that_was_made_by_hand_none_was_not_set() -> None:
    assert Leaf(size=1).to_dict() == {"size": 1}
    assert Leaf(size=1).model_dump() == {"size": 1, "word": None}
    assert Leaf(size=1).model_fields_set == {"size"}


def test_json_is_of_one_line_or_indented() -> None:
    leaf = read(Leaf, {"size": 1, "word": "ä"})
    assert leaf.to_json() == '{\n  "size": 1,\n  "word": "ä"\n}'
    assert leaf.to_json(indent=None) == leaf.model_dump_json() == '{"size":1,"word":"ä"}'
    assert leaf.model_dump_json(ensure_ascii=True, indent=0) == '{\n"size": 1,\n"word": "\\u00e4"\n}'


def test_some_members_can_be_chosen_at_any_depth() -> None:
    tree = read(Tree, SENT)
    assert tree.model_dump(include={"name", "height"}) == {"name": "oak", "height": {"m": None}}
    assert tree.model_dump(include={"leaves": {1: {"size"}}}) == {"leaves": [{"size": 2}]}
    assert tree.model_dump(include={"leaves": {"__all__": {"size"}}}) == {"leaves": [{"size": 1}, {"size": 2}]}
    without = tree.model_dump(exclude={"leaves": {"__all__": {"word"}}, "born": True, "height": ..., "class_": False})
    assert without == {"name": "oak", "leaves": [{"size": 1}, {"size": 2}], "class_": "tall"}
    assert tree.model_dump(include={"leaves"}, exclude={"leaves": {0: True}}) == {"leaves": [{"size": 2, "word": None}]}
    assert tree.model_dump(exclude=set(SENT) | {"class_"}) == {}


def test_the_official_models_choose_alike() -> None:
    pydantic = pytest.importorskip("pydantic")
    official = pydantic.create_model(
        "T", name=(str, ...), leaves=(list[pydantic.create_model("L", size=(int, ...), word=(str, None))], ...)
    )
    sent: Any = {"name": "oak", "leaves": [{"size": 1, "word": "a"}, {"size": 2, "word": "b"}]}
    theirs, ours = official(**sent), read(Tree, sent)
    choices: list[Any] = [
        {"name"},
        {"leaves": {0}},
        {"leaves": {0: {"size"}}},
        {"leaves": {"__all__": {"size"}}},
        {"leaves": True, "name": True},
        {"leaves": {1: True}},
        set(),
        {},
    ]
    for chosen in choices:
        for how in ("include", "exclude"):
            wanted = theirs.model_dump(exclude_unset=True, **{how: chosen})
            assert ours.model_dump(exclude_unset=True, **{how: chosen}) == wanted, f"{how}={chosen}"


# ---- events


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "chunk", "context_id": "c", "data": "AAEC", "done": False, "status_code": 206, "step_time": 1.5},
        {"type": "chunk", "context_id": "c", "data": "", "done": False, "flush_id": 2, "new": {"a": [None]}},
        {"type": "done", "context_id": "c", "done": True, "status_code": 200},
        {"type": "flush_done", "context_id": "c", "done": False, "flush_done": True, "flush_id": 1},
        {"type": "error", "context_id": "c", "done": True, "title": "T", "message": "M", "error_code": "e"},
        {"type": "error", "done": True, "error": "Title: message", "status_code": 400},
        {"type": "error", "done": True, "error": "a message"},
        {"type": "error", "done": True, "error": "Title: message", "title": "another", "message": "M"},
        {"type": "brand new", "context_id": "c", "more": [1, None]},
        {
            "type": "timestamps",
            "context_id": "c",
            "done": False,
            "word_timestamps": {"words": ["a"], "start": [0.5], "end": [1.0]},
        },
        {"type": "timestamps", "done": False, "status_code": "odd", "word_timestamps": {"words": ["a"], "start": []}},
    ],
    ids=lambda sent: sent["type"],
)
def test_an_event_gives_back_what_was_sent(sent: dict[str, Any]) -> None:
    event = decode(json.dumps(sent).encode())
    for again in (event, pickle.loads(pickle.dumps(event)), copy.copy(event)):
        assert again.to_dict() == json.loads(again.to_json()) == again.model_dump(exclude_unset=True) == sent
        assert again.model_fields_set == set(sent)


def test_audio_is_base64_in_every_form() -> None:
    chunk = Chunk(audio=b"\x00\xff")
    assert (
        chunk.model_dump()["data"]
        == chunk.to_dict(use_api_names=False)["data"]
        == base64.b64encode(b"\x00\xff").decode()
    )
    assert "audio" not in chunk.model_dump()


def test_the_voice_changers_events_have_a_type_only_where_it_was_sent() -> None:
    for sent in ({"data": "AAEC", "done": False}, {"type": "chunk", "data": "AAEC", "done": False}):
        event = decode_changed(json.dumps(sent).encode())
        assert event.type == "chunk"
        assert event.to_dict() == pickle.loads(pickle.dumps(event)).to_dict() == sent
        assert event.model_dump()["type"] == "chunk"


def test_what_is_inside_of_an_event_can_be_dumped_too() -> None:
    words = WordTimestamps(["a"], [0.0], [1.0])
    assert words.to_dict() == {"words": ["a"], "start": [0.0], "end": [1.0]}
    assert Timestamps(word_timestamps=words).to_dict()["word_timestamps"] == words.to_dict()
    assert Done().to_dict() == {"type": "done", "done": True}
    assert Error(message="M").to_dict() == {"type": "error", "done": True, "message": "M"}
    assert Unknown(fields={"type": "x"}).to_dict() == {"type": "x"}
