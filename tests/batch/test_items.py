"""Items out of files of each kind, and out of a program's values; what is wrong is said with its place."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync import batch
from cartesia_sync.batch.items import Item, failed_rows, item_of, read_items


def read(content: str | bytes, kind: Any) -> list[Item]:
    return list(read_items(io.BytesIO(content if isinstance(content, bytes) else content.encode()), kind))


def test_a_table_has_the_columns_of_an_item_and_others(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_bytes(
        b"\xef\xbb\xbfid, Text ,voice,language,model,speed,file,chapter\r\n"
        b'a,"Hello, ""you"".\r\nTwo lines.",v,en,sonic-3,1.1,x/a.wav,1\r\n'
        b"\r\n"
        b"b,More.,,,,,,2\r\n"
    )
    first, second = batch.read_items(path)
    assert first == Item(
        "a",
        'Hello, "you".\r\nTwo lines.',
        voice="v",
        language="en",
        model_id="sonic-3",
        speed=1.1,
        file="x/a.wav",
        others={"chapter": "1"},
    )
    assert second == Item("b", "More.", others={"chapter": "2"})
    assert first.options() == {
        "voice": "v",
        "language": "en",
        "model_id": "sonic-3",
        "generation_config": {"speed": 1.1},
    }


@pytest.mark.parametrize(("name", "mark"), [("a.tsv", "\t"), ("a.csv", ";"), ("a.csv", "\t"), ("a.csv", ",")])
def test_tables_with_other_marks_are_read(tmp_path: Path, name: str, mark: str) -> None:
    (tmp_path / name).write_text(f"id{mark}text\nx{mark}Hello.\n")
    assert list(read_items(tmp_path / name)) == [Item("x", "Hello.")]


def test_lines_and_objects_have_their_places_as_ids() -> None:
    assert read("One.\n\nThree.", None) == [Item("000001", "One."), Item("000003", "Three.")]
    assert read("text\nOne.\nTwo.\n", "csv") == [Item("000001", "One."), Item("000002", "Two.")]
    found = read('{"text": "One.", "id": 7, "speed": "1.2", "x": 3}\n\n"Two."\n{"text": ""}\n', "jsonl")
    assert found == [Item("7", "One.", speed=1.2, others={"x": "3"}), Item("000003", "Two."), Item("000004", "")]


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        ("id,words\n1,x\n", "csv", "BytesIO|the input: expected a column 'text' in the first line; found id, words"),
        ("", "csv", "expected a column 'text' in the first line; found nothing"),
        ("text,TEXT\n", "csv", "two columns have one name: text, TEXT"),
        ("id,text\n1,x\n2\n", "csv", r"line 3: expected 2 columns \(id, text\), got 1"),
        ("id,text\n1,Hello, you\n", "csv", r"line 2: expected 2 columns \(id, text\), got 3"),
        ('id,text\n1,"x\n', "csv", "line 2: unexpected end of data"),
        ("text,speed\nx,fast\n", "csv", "line 2: speed is a number, such as 1.1; got 'fast'"),
        ('{"text": 1}\n', "jsonl", "line 1: expected a text, got 1"),
        ('{"id": "x"}\n', "jsonl", "line 1: expected a text, got none"),
        ('\n{"text"\n', "jsonl", "line 2: this is no JSON"),
        ("[1]\n", "jsonl", r"line 1: expected an object with 'text', got \[1\]"),
        ('{"text": "x", "voice": [1]}\n', "jsonl", r"line 1: voice is a text; got \[1\]"),
        (b"One.\n\xffTwo.\n", "lines", "is not UTF-8: the byte 0xff begins no character"),
        ("x", "xml", "an input is csv, tsv, jsonl, lines; got 'xml'"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(content: Any, kind: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(content, kind)


def test_a_file_object_stays_open() -> None:
    file = io.BytesIO(b"One.\n")
    assert len(list(read_items(file))) == 1
    assert not file.closed


def test_a_program_gives_texts_pairs_mappings_and_items() -> None:
    assert item_of("One.", 3, "item 3") == Item("000003", "One.")
    assert item_of(("a", "One."), 3, "item 3") == Item("a", "One.")
    assert item_of({"id": 4, "text": "\ud83d\ude00", "dictionary": "d"}, 3, "item 3") == Item(
        "4", "\U0001f600", pronunciation_dict_id="d"
    )
    made = Item("a", "One.")
    assert item_of(made, 3, "item 3") is made
    with pytest.raises(TypeError, match=r"item 3: an item is an Item, a text, a pair .* got 5"):
        item_of(5, 3, "item 3")  # type: ignore[arg-type]  # that is the test


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
ITEMS = st.builds(
    Item,
    id=TEXTS.map(str.strip).filter(bool),
    text=TEXTS,
    language=st.none() | TEXTS.map(str.strip).filter(bool),
    speed=st.none() | st.floats(0.6, 1.5),
    file=st.none() | TEXTS.map(str.strip).filter(bool),
)


@given(st.lists(ITEMS, max_size=4), TEXTS)
def test_what_failed_is_written_so_that_it_can_be_read_again(items: list[Item], error: str) -> None:
    content = "".join(failed_rows((item, error) for item in items)).encode()
    assert read(content, "csv") == items
    assert [Item.from_json(item.to_json()) for item in items] == items
