"""Where an item's file is to be: names by a pattern, two levels of folders for very many, and what no name may be."""

from __future__ import annotations

import hashlib
import os
import string
import unicodedata
from collections.abc import Collection, Mapping
from typing import Optional

LEDGER_NAMES = ".cartesia-batch.sqlite"
PARTS = ".cartesia-batch.parts"
FAILED_NAME = "failed.csv"
MANY = 10_000
"""So many files stand in one folder; with more of them there are two levels of folders, 16 in each."""
LONGEST_NAME, LONGEST_PATH = 255, 4000
"""In bytes, where the system does not say; its own limit for a path counts a closing zero, and hidden parts."""


class Pattern:
    """How names are made, such as ``{language}/{id}.wav``.

    Args:
        text: The pattern.

    Raises:
        ValueError: It is none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.fields: list[str] = []
        self._parts: list[tuple[str, Optional[str]]] = []
        try:
            for literal, field, spec, conversion in string.Formatter().parse(text):
                if field is not None and (spec or conversion or not field.replace("_", "a").isalnum()):
                    raise ValueError("a field is a column's name alone, such as {id}")
                self._parts.append((literal, field))
                if field is not None:
                    self.fields.append(field)
        except ValueError as error:
            raise ValueError(f"pattern {text!r}: {error}") from None

    def name(self, values: Mapping[str, str]) -> str:
        """Return the name that is made of these.

        A slash in an id makes folders; in anything else it becomes ``_``.

        Raises:
            ValueError: The item has no such value.
        """
        made = ""
        for literal, field in self._parts:
            made += literal
            if field is None:
                continue
            value = values.get(field)
            if not value:
                raise ValueError(f"the pattern {self.text!r} needs {field!r}, which is not given")
            made += value if field == "id" else value.replace("/", "_")
        return made


def placed(item_id: str, name: str) -> str:
    """Return a path in the two levels of folders."""
    digits = hashlib.sha256(item_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{digits[0]}/{digits[1]}/{name}"


def key_of(path: str) -> str:
    """Return what is the same for paths that some systems take for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


class Checker:
    """Finds what no path in a folder may be. Each folder is looked at once.

    Args:
        folder: The folder, as an absolute path; it need not be there yet.
        reserved: Names in it that are not to be given.
    """

    def __init__(self, folder: str, reserved: Collection[str] = ()) -> None:
        self._folder = folder
        self._root = os.path.realpath(folder)
        self._reserved = {key_of(name) for name in (LEDGER_NAMES, PARTS, FAILED_NAME, *reserved)}
        self._looked_at: dict[str, Optional[str]] = {}
        try:
            self._longest_name = os.pathconf(folder, "PC_NAME_MAX")
        except (AttributeError, OSError, ValueError):  # Windows; or the folder is not there yet
            self._longest_name = LONGEST_NAME

    def fault_of(self, path: str) -> Optional[str]:
        """Say what is wrong with a path, or None."""
        parts = path.split("/")
        if any(ord(each) < 32 or ord(each) == 127 for each in path):
            return "has a control character in it"
        try:
            encoded = [len(os.fsencode(part)) for part in parts]
        except UnicodeError:
            return "cannot be written in this system's encoding"
        if os.path.isabs(path) or os.path.splitdrive(path)[0] or ".." in parts or (os.sep == "\\" and "\\" in path):
            return "leaves the folder"
        if "" in parts or "." in parts:
            return "has an empty name in it"
        if max(encoded) > self._longest_name:
            return f"has a name of {max(encoded)} bytes, and {self._longest_name} are allowed"
        if len(os.fsencode(os.path.join(self._root, path))) > LONGEST_PATH:
            return "is too long"
        first = key_of(parts[0])
        if first in self._reserved or any(first.startswith(f"{name}-") for name in (LEDGER_NAMES,)):
            return "is a name that the batch itself uses"
        fault = self._fault_of_folder(os.path.dirname(path))
        return self._fault_of_target(path) if fault is None else fault

    def _fault_of_folder(self, folder: str) -> Optional[str]:
        if folder not in self._looked_at:
            if len(self._looked_at) > 10_000:
                self._looked_at.clear()
            self._looked_at[folder] = self._found_fault_of_folder(folder)
        return self._looked_at[folder]

    def _found_fault_of_folder(self, folder: str) -> Optional[str]:
        path = os.path.join(self._folder, folder)
        if not self._is_inside(path):
            return "leaves the folder, by a symbolic link"
        while path != self._folder and not os.path.lexists(path):
            path = os.path.dirname(path)
        if os.path.lexists(path) and not os.path.isdir(path):
            return f"would stand in {os.path.relpath(path, self._folder)}, which is a file"
        return None

    def _fault_of_target(self, path: str) -> Optional[str]:
        target = os.path.join(self._folder, path)
        if os.path.islink(target) and not self._is_inside(target):
            return "leaves the folder, by a symbolic link"
        if os.path.isdir(target):
            return "is a folder"
        return None

    def _is_inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self._root or real.startswith(self._root.rstrip(os.sep) + os.sep)
