"""What is to be done: names, options and their hash, and all that is refused before a word is sent."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from ..audio.kinds import SOUNDS
from ..protocol.formats import voice_on_the_wire
from ..protocol.text import whole_pairs
from ..protocol.words import has_words
from .items import Given, Item, item_of
from .ledger import CHUNK, DONE, FAILED, FOLLOWS, OVER, TO_DO, WORDLESS, Ledger, Planned
from .making import Job, check_kind, format_for
from .places import MANY, Checker, Pattern, key_of, placed

_NEW = "new"
_FAULTS_NAMED = 5
SECONDS_A_CHARACTER = 1 / 15
"""Of audio, roughly, where nothing has been spoken yet; and it is taken to be spoken in real time."""


class Outlook(NamedTuple):
    """What a run would do.

    Attributes:
        files: How many files are to be made.
        copies: How many of them are copies of others, which cost nothing.
        skipped: How many are whole already.
        wordless: How many items have no words.
        characters: What is to be spoken: the credits that it costs.
        audio_seconds: How long that is, roughly.
        seconds: How long it takes, roughly.
    """

    files: int
    copies: int
    skipped: int
    wordless: int
    characters: int
    audio_seconds: float
    seconds: float


@dataclass(frozen=True)
class Settings:
    """What holds for all items of a run.

    Attributes:
        pattern: How files are named.
        format: The kind of sound, where a name does not say.
        captions: The kind of captions beside each file, or None.
        options: How all is spoken that does not say otherwise, for ``pool.say``.
        version: The API version.
        default_model: Where none is named.
    """

    pattern: Pattern
    format: str
    captions: Optional[str]
    options: Mapping[str, Any]
    version: str
    default_model: str

    def kinds_of(self, path: str) -> tuple[str, ...]:
        """Return the kinds of an item's files, by the path of its sound."""
        sound = SOUNDS[os.path.splitext(path)[1].lower()]
        return (sound,) if self.captions is None else (sound, self.captions)

    def paths_of(self, path: str) -> tuple[str, ...]:
        """Return the paths of an item's files: the sound's first."""
        return (path,) if self.captions is None else (path, f"{os.path.splitext(path)[0]}.{self.captions}")

    def name_of(self, item: Item, values: Mapping[str, str]) -> str:
        """Return the name of an item's sound.

        Raises:
            ValueError: It is that of another kind of file.
        """
        kind = self.format if item.format is None else item.format.lower().lstrip(".")
        name = self.pattern.name(values) if item.file is None else item.file
        suffix = os.path.splitext(name)[1].lower()
        if item.format is not None and SOUNDS.get(suffix) != kind:
            if kind not in SOUNDS.values():
                raise ValueError(f"a file is {', '.join(SOUNDS)}; got the format {item.format!r}")
            return f"{os.path.splitext(name)[0] if suffix in SOUNDS else name}.{kind}"
        if suffix in SOUNDS:
            return name
        if item.file is not None:
            raise ValueError(f"a file is {', '.join(SOUNDS)}; got the name {name!r}")
        return f"{name}.{kind}"

    def options_of(self, item: Item, kinds: tuple[str, ...]) -> dict[str, Any]:
        """Return how an item is spoken.

        Raises:
            TypeError, ValueError: There is no voice, or it is none.
        """
        own = item.options()
        options = {**self.options, **own}
        if "locale" in own:
            options.pop("language", None)
        elif "language" in own:
            options.pop("locale", None)
        if "generation_config" in own:
            options["generation_config"] = {**(self.options.get("generation_config") or {}), **own["generation_config"]}
        options = {name: value for name, value in options.items() if value is not None}
        options.setdefault("model_id", self.default_model)
        options.setdefault("output_format", format_for(kinds[0]))
        if "voice" not in options:
            raise ValueError("there is no voice: give voice= for all, or one to each item")
        options["voice"] = voice_on_the_wire(options["voice"], self.version)
        if len(kinds) > 1:
            options["add_timestamps"] = True
        return options

    def job_of(self, planned: Planned, attempt: int, parts: Optional[str]) -> Job:
        """Return what is to be done for a row of the plan."""
        item = Item.from_json(planned.item)
        kinds = self.kinds_of(planned.path)
        return Job(planned.number, item.text, self.options_of(item, kinds), kinds, attempt, parts)


_NO_SHAPE = ("timeout", "first_event_timeout", "whole_timeout", "on_disconnect", "max_queued_bytes")
"""Options that do not change what is heard."""


def hash_of(text: str, options: Mapping[str, Any], version: str, kinds: tuple[str, ...]) -> str:
    """Return the hash of all that shapes the sound and its files."""
    shaping = {name: value for name, value in options.items() if name not in _NO_SHAPE}
    shape = json.dumps([text, shaping, version, kinds], sort_keys=True, default=str)
    return hashlib.sha256(shape.encode()).hexdigest()


def make_plan(ledger: Ledger, settings: Settings, items: Iterable[Given], *, retry_failed: bool, slots: int) -> Outlook:
    """Look at all items, and put what is to be done into the ledger's plan.

    Args:
        ledger: The folder's, which agrees with the folder.
        settings: Of the run.
        items: Iterated once.
        retry_failed: Whether only what failed before is to be done.
        slots: How many speak at once, for the estimate.

    Raises:
        TypeError, ValueError: An item is none, or a name is refused; nothing was changed. The error names up to five.
        ImportError: A kind of file needs an extra.
    """
    _read_all(ledger, settings, items)
    _refuse("two items have the id", ledger, "SELECT id FROM plan GROUP BY id HAVING count(*) > 1")
    _place_all(ledger)
    _check_paths(ledger, settings)
    return _choose(ledger, retry_failed=retry_failed, slots=slots)


def _read_all(ledger: Ledger, settings: Settings, items: Iterable[Given]) -> None:
    if isinstance(items, (str, bytes)):
        raise TypeError("items is an iterable of items; for one text there is pool.say()")
    faults: list[str] = []
    kinds_checked: set[tuple[str, ...]] = set()
    rows: list[tuple[Planned, str, bool]] = []
    for number, given in enumerate(items, 1):
        try:
            item = item_of(given, number, f"item {number}")
            if not item.id or any(ord(each) < 32 for each in item.id):
                raise ValueError(f"item {number}: an id is a text without control characters; got {item.id!r}")
            name = settings.name_of(item, {"number": f"{number:06d}", **item.values()})
            if whole_pairs(item.id + name) != item.id + name:
                raise ValueError(f"item {number}: its id or name has half of a character in it: {item.id!r}, {name!r}")
            kinds = settings.kinds_of(name)
            options = settings.options_of(item, kinds)
            if kinds not in kinds_checked:
                for kind in kinds:
                    check_kind(kind, options["output_format"])
                kinds_checked.add(kinds)
        except (TypeError, ValueError) as error:
            words = str(error)
            faults.append(words if "item " in words or "line " in words else f"item {number}: {words}")
            if len(faults) == _FAULTS_NAMED:
                break
            continue
        hash_ = hash_of(item.text, options, settings.version, kinds)
        planned = Planned(number, item.id, hash_, name, name, len(item.text), item.to_json())
        rows.append((planned, _NEW if has_words(item.text) else WORDLESS, item.file is not None or "/" in name))
        if len(rows) == CHUNK:
            ledger.put_plan(rows)
            rows = []
    if faults:
        raise ValueError("; ".join(faults))
    ledger.put_plan(rows)
    for index in ("plan_by_id ON plan (id)", "plan_by_hash ON plan (hash, state)", "plan_by_state ON plan (state)"):
        ledger.change(f"CREATE INDEX temp.{index}")


def _refuse(what: str, ledger: Ledger, query: str) -> None:
    found = [repr(each[0]) for each in ledger.ask(f"{query} LIMIT {_FAULTS_NAMED}")]
    if found:
        raise ValueError(f"{what} {', '.join(found)}")


def _place_all(ledger: Ledger) -> None:
    """Put the files of very many items into two levels of folders; what has a place in the ledger keeps it."""
    (count,) = ledger.ask("SELECT max((SELECT count(*) FROM plan), (SELECT count(*) FROM items))")[0]
    same = "FROM items WHERE items.id = plan.id AND items.name = plan.name"
    changed = ledger.change(
        f"UPDATE plan SET path = (SELECT path {same}) WHERE EXISTS (SELECT 1 {same} AND items.path <> plan.path)"
    )
    if count <= MANY and not changed:
        return
    for rows in _chunks(ledger):
        known = {
            number
            for (number,) in ledger.ask(
                f"SELECT number FROM plan WHERE number BETWEEN ? AND ? AND EXISTS (SELECT 1 {same})",
                rows[0][0].number,
                rows[-1][0].number,
            )
        }
        paths = [
            row.path if is_placed or row.number in known or count <= MANY else placed(row.id, row.name)
            for row, is_placed in rows
        ]
        ledger.change_many(
            "UPDATE plan SET path = ?, key = ? WHERE number = ?",
            [(path, key_of(path), row.number) for path, (row, _) in zip(paths, rows)],
        )


def _chunks(ledger: Ledger) -> Iterator[list[tuple[Planned, bool]]]:
    last = 0
    while True:
        found = ledger.ask(
            f"SELECT {', '.join(Planned._fields)}, is_placed FROM plan WHERE number > ? ORDER BY number LIMIT {CHUNK}",
            last,
        )
        if not found:
            return
        last = found[-1][0]
        yield [(Planned(*each[:-1]), bool(each[-1])) for each in found]


def _check_paths(ledger: Ledger, settings: Settings) -> None:
    checker = Checker(ledger.folder)
    ledger.change("CREATE TEMP TABLE folders (key TEXT PRIMARY KEY, path TEXT) WITHOUT ROWID")
    faults: list[str] = []
    stems = "" if settings.captions is None else "CREATE TEMP TABLE stems (number INTEGER PRIMARY KEY, key TEXT)"
    if stems:
        ledger.change(stems)
    for rows in _chunks(ledger):
        folders = {}
        for row, _ in rows:
            for path in settings.paths_of(row.path):
                fault = checker.fault_of(path)
                if fault is not None and len(faults) < _FAULTS_NAMED:
                    faults.append(f"item {row.number} ({row.id!r}): its file {path!r} {fault}")
            folder = os.path.dirname(row.path)
            while folder:
                folders[key_of(folder)] = folder
                folder = os.path.dirname(folder) if os.path.dirname(folder) != folder else ""
        ledger.change_many("INSERT OR IGNORE INTO folders VALUES (?, ?)", folders.items())
        if stems:
            captions = ((row.number, key_of(settings.paths_of(row.path)[1])) for row, _ in rows)
            ledger.change_many("INSERT INTO stems VALUES (?, ?)", captions)
        if len(faults) == _FAULTS_NAMED:
            break
    if faults:
        raise ValueError("; ".join(faults))
    _refuse("several items would be in one file, or in files whose names differ by case alone:", ledger, _SHARED)
    if stems:
        _refuse("several items would have one file of captions:", ledger, _SHARED.replace("plan", "stems"))
    _refuse(
        "a file would have to be a folder too:",
        ledger,
        "SELECT plan.path FROM plan JOIN folders ON folders.key = plan.key",
    )
    ledger.change("DROP TABLE folders")


_SHARED = "SELECT min(key) FROM plan GROUP BY key HAVING count(*) > 1"


def _choose(ledger: Ledger, *, retry_failed: bool, slots: int) -> Outlook:
    """Decide what of the plan is to be done."""
    ledger.change(
        "INSERT OR REPLACE INTO items SELECT id, hash, state, name, path, '[]', 0, characters, 0, NULL, NULL, 0, NULL "
        "FROM plan WHERE state = ?",
        WORDLESS,
    )
    wordless = ledger.change("UPDATE plan SET state = ? WHERE state = ?", OVER, WORDLESS)
    of_it = "SELECT 1 FROM items WHERE items.id = plan.id"
    skipped = ledger.change(
        f"UPDATE plan SET state = ? WHERE state = ? AND EXISTS ({of_it} AND items.hash = plan.hash "
        "AND items.path = plan.path AND items.state = ?)",
        OVER,
        _NEW,
        DONE,
    )
    if retry_failed:
        skipped += ledger.change(
            f"UPDATE plan SET state = ? WHERE state = ? AND NOT EXISTS ({of_it} AND items.state = ?)",
            OVER,
            _NEW,
            FAILED,
        )
    firsts = "SELECT min(number) FROM plan WHERE state = ? GROUP BY hash"
    ledger.change(f"CREATE TEMP TABLE firsts AS {firsts}", _NEW)
    ledger.change("UPDATE plan SET state = ? WHERE number IN firsts", TO_DO)
    ledger.change("DROP TABLE firsts")
    copies = ledger.change("UPDATE plan SET state = ? WHERE state = ?", FOLLOWS, _NEW)
    is_there = "EXISTS (SELECT 1 FROM items WHERE items.hash = plan.hash AND items.state = ?)"
    first, characters = ledger.ask(
        f"SELECT count(*), total(characters) FROM plan WHERE state = ? AND NOT {is_there}", TO_DO, DONE
    )[0]
    (to_do,) = ledger.ask("SELECT count(*) FROM plan WHERE state = ?", TO_DO)[0]
    sounds, takes = ledger.seconds_a_character()
    audio_seconds = characters * (SECONDS_A_CHARACTER if sounds is None else sounds)
    seconds = audio_seconds if takes is None else characters * takes
    return Outlook(
        files=to_do + copies,
        copies=copies + to_do - first,
        skipped=skipped,
        wordless=wordless,
        characters=int(characters),
        audio_seconds=audio_seconds,
        seconds=seconds / slots,
    )
