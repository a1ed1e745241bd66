"""What is to be spoken: items, and how they are read from CSV, TSV, JSON lines and plain lines."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, BinaryIO, Literal, Optional, Union

from ..protocol.formats import VoiceSpecifierParam
from ..protocol.text import whole_pairs

InputKind = Literal["csv", "tsv", "jsonl", "lines"]
INPUT_KINDS: tuple[InputKind, ...] = ("csv", "tsv", "jsonl", "lines")
_BY_SUFFIX: dict[str, InputKind] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_OTHER_NAMES = {"model": "model_id", "dictionary": "pronunciation_dict_id", "path": "file"}
_NUMBERS = ("speed", "volume")
ERROR = "error"
"""A column of ``failed.csv``, which says why; nobody reads it back."""


@dataclass(frozen=True)
class Item:
    """One text that is to be in a file. What is None is as it is for all.

    Attributes:
        id: What it is known by; no other has it.
        text: What to say.
        voice: A voice's id, or a mapping with one.
        language: The text's language, such as ``en``.
        locale: Likewise, such as ``en-GB``; excludes ``language``.
        model_id: Such as ``sonic-latest``.
        speed: 0.6 to 1.5, 1 being as usual.
        volume: 0.5 to 2.0.
        emotion: Such as ``calm``.
        normalization: How numbers and the like are read.
        pronunciation_dict_id: The dictionary's id.
        format: The kind of file, such as ``wav``.
        file: The file's path in the folder, in place of the pattern's.
        others: Anything else, for the pattern.
    """

    id: str
    text: str
    voice: Optional[VoiceSpecifierParam] = None
    language: Optional[str] = None
    locale: Optional[str] = None
    model_id: Optional[str] = None
    speed: Optional[float] = None
    volume: Optional[float] = None
    emotion: Optional[str] = None
    normalization: Optional[str] = None
    pronunciation_dict_id: Optional[str] = None
    format: Optional[str] = None
    file: Optional[str] = None
    others: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as JSON, without what is not given."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return json.dumps({name: value for name, value in found.items() if value not in (None, {})})

    @classmethod
    def from_json(cls, text: str) -> Item:
        """Return what ``to_json`` was given."""
        return cls(**json.loads(text))

    def options(self) -> dict[str, Any]:
        """Return what of it ``pool.say`` takes."""
        config = {
            name: value
            for name, value in (("speed", self.speed), ("volume", self.volume), ("emotion", self.emotion))
            if value is not None
        }
        found = {
            "voice": self.voice,
            "language": self.language,
            "locale": self.locale,
            "model_id": self.model_id,
            "normalization": self.normalization,
            "pronunciation_dict_id": self.pronunciation_dict_id,
            "generation_config": config or None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def values(self) -> dict[str, str]:
        """Return what a pattern may name."""
        found = {**self.others, **{each.name: getattr(self, each.name) for each in fields(self)}}
        if isinstance(self.voice, Mapping):
            found["voice"] = self.voice.get("id")
        return {name: str(value) for name, value in found.items() if value is not None and name != "others"}


FIELDS = frozenset(each.name for each in fields(Item)) - {"others"}
Given = Union[Item, str, Mapping[str, Any], "tuple[str, str]"]
"""What ``run`` takes for an item: one, a text, a pair of id and text, or a mapping with the fields' names."""


def item_of(given: Given, number: int, where: str) -> Item:
    """Make an item of what was given.

    Args:
        given: See ``Given``.
        number: Its place, from 1 on: its id, where it has none.
        where: What to call it in an error.

    Raises:
        TypeError: It is none of these.
        ValueError: It has no text, or a value is none.
    """
    if isinstance(given, Item):
        return given
    if isinstance(given, str):
        given = {"text": given}
    elif isinstance(given, tuple) and len(given) == 2:
        given = {"id": given[0], "text": given[1]}
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{where}: an item is an Item, a text, a pair (id, text), or a mapping with 'text'; got {given!r:.80}"
        )
    values: dict[str, Any] = {}
    others: dict[str, str] = {}
    for column, value in given.items():
        name = str(column).strip().lower()
        name = _OTHER_NAMES.get(name, name)
        if name == "text":
            values[name] = value
        elif value is None or value == "" or name == ERROR:
            continue
        elif name in FIELDS:
            values[name] = value
        elif isinstance(value, (str, int, float)):
            others[name] = str(value)
    text = values.get("text")
    if not isinstance(text, str):
        raise ValueError(f"{where}: expected a text, got {'none' if text is None else repr(text)[:80]}")
    values["text"] = whole_pairs(text)
    item_id = values.setdefault("id", f"{number:06d}")
    if isinstance(item_id, (int, float)) and not isinstance(item_id, bool):
        values["id"] = str(item_id)
    for name, value in values.items():
        if name in _NUMBERS:
            values[name] = _number(name, value, where)
        elif name == "voice" and isinstance(value, Mapping):
            values[name] = dict(value)
        elif not isinstance(values[name], str):
            raise ValueError(f"{where}: {name} is a text; got {value!r:.80}")
        elif name != "text":
            values[name] = values[name].strip()
    return Item(**values, others=others)


def _number(name: str, value: Any, where: str) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: {name} is a number, such as 1.1; got {value!r:.80}") from None


# ---- files


def kind_of_input(path: str) -> InputKind:
    """Return what a file's name says that is in it; plain lines where it says nothing."""
    return _BY_SUFFIX.get(os.path.splitext(path)[1].lower(), "lines")


def read_items(source: Union[str, os.PathLike[str], BinaryIO], kind: Optional[InputKind] = None) -> Iterator[Item]:
    """Read items, one after the other.

    CSV and TSV have a head with the columns' names, ``text`` among them; the names are those of ``Item``, whatever
    their case, and others are for the pattern. JSON lines are objects of the same. Of plain lines each is a text. What
    has no id gets its place in the file, such as ``000001``; empty lines count, and are left out.

    Args:
        source: A path, or a file object opened for reading bytes, which is not closed.
        kind: ``csv``, ``tsv``, ``jsonl`` or ``lines``; None goes by the path's suffix.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not UTF-8, or no such file; the error names the line.

    Threads: one iterates. Waits for the file alone.
    """
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        with open(path, "rb") as file:
            yield from _read(file, kind or kind_of_input(path), path)
    else:
        yield from _read(source, kind or "lines", str(getattr(source, "name", "the input")))


def _read(file: BinaryIO, kind: InputKind, name: str) -> Iterator[Item]:
    if kind not in INPUT_KINDS:
        raise ValueError(f"an input is {', '.join(INPUT_KINDS)}; got {kind!r}")
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="" if kind in ("csv", "tsv") else None)
    try:
        yield from {"csv": _csv, "tsv": _tsv, "jsonl": _json_lines, "lines": _lines}[kind](text, name)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} is not UTF-8: the byte {error.object[error.start]:#04x} begins no character"
        ) from None
    finally:
        with contextlib.suppress(ValueError):  # it was closed meanwhile
            text.detach()


def _lines(lines: Iterable[str], name: str) -> Iterator[Item]:
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\n")
        if text:
            yield item_of(text, number, f"{name}, line {number}")


def _json_lines(lines: Iterable[str], name: str) -> Iterator[Item]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            found = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{where}: this is no JSON: {error}") from None
        if not isinstance(found, (dict, str)):
            raise ValueError(f"{where}: expected an object with 'text', got {found!r:.80}")
        yield item_of(found, number, where)


def _tsv(lines: Iterable[str], name: str) -> Iterator[Item]:
    return _table(lines, name, "\t")


def _csv(lines: Iterable[str], name: str) -> Iterator[Item]:
    return _table(lines, name, ",")


def _table(lines: Iterable[str], name: str, delimiter: str) -> Iterator[Item]:
    iterator = iter(lines)
    first = next(iterator, "")
    if delimiter == "," and "," not in first:
        delimiter = next((each for each in ";\t" if each in first), ",")  # as spreadsheets of some countries write it
    rows = csv.reader(itertools.chain([first], iterator), delimiter=delimiter, strict=True)
    try:
        head = [column.strip() for column in next(rows, [])]
        names = [column.lower() for column in head]
        if "text" not in names:
            raise ValueError(
                f"{name}: expected a column 'text' in the first line; found {', '.join(head) or 'nothing'}"
            )
        if len(set(names)) < len(names):
            raise ValueError(f"{name}: two columns have one name: {', '.join(head)}")
        for number, row in enumerate(rows, 1):
            if not row:
                continue
            where = f"{name}, line {rows.line_num}"
            if len(row) != len(head):
                raise ValueError(f"{where}: expected {len(head)} columns ({', '.join(head)}), got {len(row)}")
            yield item_of(dict(zip(head, row)), number, where)
    except csv.Error as error:
        raise ValueError(f"{name}, line {rows.line_num}: {error}") from None


# ---- what failed, as an input


def failed_rows(failed: Iterable[tuple[Item, str]]) -> Iterator[str]:
    """Yield the lines of a CSV file of items, each with its error in the last column.

    The columns are those that any item may have, so that no item has to be looked at twice.
    """
    columns = [each.name for each in fields(Item) if each.name != "others"]
    yield _csv_line([*columns, ERROR])
    for item, error in failed:
        values: list[Any] = [getattr(item, column) for column in columns]
        if isinstance(item.voice, Mapping):
            values[columns.index("voice")] = item.voice.get("id")
        yield _csv_line([*("" if value is None else str(value) for value in values), " ".join(error.split())])


def _csv_line(values: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)  # ends lines by \r\n, since else it would not quote a \r
    return line.getvalue()
