"""The service's models: what fits its type, what does not, and what nobody knew of."""

from __future__ import annotations

import copy
import pickle
import sys
from datetime import datetime, timezone
from typing import Any, Literal, Optional, Union

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.protocol import voice_changer
from cartesia_sync.protocol.models import agents, calls, core
from cartesia_sync.protocol.models.base import Record, read


class Leaf(Record):
    size: int
    word: Optional[str] = None


class Tree(Record):
    name: str
    born: datetime
    leaves: list[Leaf]
    by_name: dict[str, Leaf]
    kind: Literal["oak", "ash"]
    class_: Optional[str] = msgspec.field(name="class", default=None)
    best: Optional[Leaf] = None
    weight: Optional[float] = None
    is_green: Optional[bool] = None


WHOLE = {
    "name": "old",
    "born": "2026-08-14T12:00:00Z",
    "leaves": [{"size": 1, "word": "a"}, {"size": 2, "word": None}],
    "by_name": {"first": {"size": 3, "word": None}},
    "kind": "oak",
    "class": "tall",
    "best": {"size": 4, "word": "b"},
    "weight": 2.5,
    "is_green": True,
}
BORN = datetime(2026, 8, 14, 12, tzinfo=timezone.utc)


def test_what_fits_is_typed() -> None:
    tree = read(Tree, WHOLE)
    assert (tree.name, tree.born, tree.kind, tree.class_, tree.weight) == ("old", BORN, "oak", "tall", 2.5)
    assert tree.leaves == [Leaf(size=1, word="a"), Leaf(size=2)]
    assert tree.by_name == {"first": Leaf(size=3)}
    assert tree.best == Leaf(size=4, word="b")
    assert tree.extra == {}


def test_what_nobody_knew_of_is_kept_at_every_depth() -> None:
    new = {"size": 1, "colour": "red"}
    tree = read(Tree, {**WHOLE, "leaves": [new], "by_name": {"a": new}, "best": new, "height": {"m": 3}})
    assert tree.extra == {"height": {"m": 3}}
    assert tree.height == {"m": 3}
    assert [each.colour for each in (tree.leaves[0], tree.by_name["a"], tree.best)] == ["red"] * 3
    with pytest.raises(AttributeError, match="'Tree' has no attribute 'width'"):
        _ = tree.width
    assert not hasattr(read(Tree, WHOLE), "height")


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("name", 5),
        ("born", "yesterday"),
        ("born", 7),
        ("leaves", {"a": 1}),
        ("leaves", "none"),
        ("by_name", [1]),
        ("kind", "birch"),
        ("best", [1, 2]),
        ("weight", "heavy"),
        ("is_green", "yes"),
    ],
)
def test_what_does_not_fit_stays_as_it_came_and_costs_nothing_else(name: str, raw: object) -> None:
    tree = read(Tree, {**WHOLE, name: raw})
    assert getattr(tree, name) == raw
    others = {each: value for each, value in tree.to_dict().items() if each != name}
    assert others == {each: value for each, value in read(Tree, WHOLE).to_dict().items() if each != name}


def test_an_item_that_does_not_fit_stays_as_it_came() -> None:
    assert read(list[Leaf], [{"size": 1}, 7, None, {"size": "big"}]) == [
        Leaf(size=1),
        7,
        None,
        read(Leaf, {"size": "big"}),
    ]


def test_what_is_missing_is_none() -> None:
    tree = read(Tree, {})
    assert {getattr(tree, name) for name in tree.__struct_fields__} == {None}
    assert read(Tree, None) is None
    assert read(Optional[Tree], None) is None


def test_every_field_of_the_service_survives_the_way_back() -> None:
    tree = read(Tree, {**WHOLE, "height": 3, "leaves": [{"size": 1, "word": None, "colour": "red"}]})
    plain = tree.to_dict()
    assert plain == {
        **WHOLE,
        "born": BORN,
        "height": 3,
        "leaves": [{"size": 1, "word": None, "colour": "red"}],
    }
    assert read(Tree, plain) == tree
    assert read(Tree, plain).to_dict() == plain


@pytest.mark.parametrize("name", ["extra", "to_dict", "__reduce__", "__class__", "__dict__", "extra_fields", "_extra"])
def test_no_field_of_the_service_takes_a_methods_place(name: str) -> None:
    leaf = read(Leaf, {"size": 1, name: "taken"})
    assert leaf.extra == {name: "taken"}
    assert leaf.to_dict() == {"size": 1, name: "taken"}
    assert type(leaf) is Leaf
    assert pickle.loads(pickle.dumps(leaf)).extra == leaf.extra


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_has_all_of_it(how: Any) -> None:
    tree = read(Tree, {**WHOLE, "height": 3, "best": {"size": 1, "colour": "red"}})
    other = how(tree)
    assert (type(other), other) == (Tree, tree)
    assert other.to_dict() == tree.to_dict()
    assert (other.height, other.best.colour) == (3, "red")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (object, {"a": [1]}, {"a": [1]}),
        (dict, {"a": 1}, {"a": 1}),
        (dict, [1], [1]),
        (list[int], [1, "2"], [1, "2"]),
        (int, 3, 3),
        (float, 3, 3.0),
        (Union[int, str, None], "a", "a"),
        (Union[int, str], 1.5, 1.5),
        (Any, None, None),
    ],
)
def test_other_annotations_are_read_as_far_as_they_go(kind: Any, value: object, expected: object) -> None:
    found = read(kind, value)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="no such notation there")
def test_the_new_notation_of_an_optional_is_read_too() -> None:
    assert read(eval("Leaf | None"), {"size": 1, "colour": "red"}).colour == "red"


ROOMS = (core, agents, calls, voice_changer)
EVERY: list[Any] = [each for room in ROOMS for each in vars(room).values()]
KINDS: list[type[Record]] = [Tree, Leaf]
KINDS += [each for each in EVERY if isinstance(each, type) and issubclass(each, Record) and each is not Record]
NAMES = sorted({each.encode_name for kind in KINDS for each in msgspec.structs.fields(kind)})
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.just("2026-08-14T12:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(st.sampled_from([*KINDS, list[Tree], dict[str, Tree]]), JSON)
def test_no_json_at_all_makes_it_raise(kind: Any, value: object) -> None:
    found = read(kind, value)
    if isinstance(found, Record):
        plain = found.to_dict()
        assert isinstance(value, dict)
        assert value.keys() <= plain.keys()
        assert read(kind, plain) == found
        assert pickle.loads(pickle.dumps(found)).to_dict() == plain
        repr(found)
