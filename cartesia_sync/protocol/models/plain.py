"""The service's objects as plain dicts and as JSON, by the official client's methods.

That client's objects are pydantic's, and these methods have the same names and arguments there. What is ours alone is
how an object knows its members: see ``Plain._members``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set
from typing import Any, NamedTuple, Optional

import msgspec

NO_DEFAULT = object()
"""For a member that has to be given."""


class Member(NamedTuple):
    """One field of an object.

    Attributes:
        name: The attribute's.
        sent_name: In the service's JSON.
        value: Its own.
        is_set: Whether the service sent it.
        default: What it is where nobody sets it.
    """

    name: str
    sent_name: str
    value: Any
    is_set: bool = True
    default: Any = NO_DEFAULT


class Plain:
    """What can be turned into a plain dict, and into JSON."""

    __slots__ = ()

    def _members(self) -> Iterable[Member]:
        """Return the fields, the unknown ones too."""
        raise NotImplementedError

    def _settable(self) -> set[str]:
        """Return the names that ``model_fields_set`` may hold."""
        raise NotImplementedError

    def to_dict(
        self,
        *,
        mode: str = "python",
        use_api_names: bool = True,
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: bool = True,
    ) -> dict[str, Any]:
        """Return it as plain dicts and lists, unknown fields and values of any type included.

        Args:
            mode: ``json`` for what JSON can say, with times as texts; ``python`` for times as ``datetime``.
            use_api_names: Whether to name fields as the service does, rather than as they are named here.
            exclude_unset: Whether to leave out what the service did not send. Of an event that is what is None.
            exclude_defaults: Whether to leave out what is as if nobody had set it.
            exclude_none: Whether to leave out what is None.
            warnings: Means nothing here: a value of another type than expected is returned as it came.

        Raises:
            ValueError: There is no such mode.
        """
        return self.model_dump(
            mode=mode,
            by_alias=use_api_names,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )

    def to_json(
        self,
        *,
        indent: Optional[int] = 2,
        use_api_names: bool = True,
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: bool = True,
    ) -> str:
        """Return it as JSON.

        Args:
            indent: Spaces a level; None for one line.
            use_api_names: As for ``to_dict``, and so for the others.
            exclude_unset: The same.
            exclude_defaults: The same.
            exclude_none: The same.
            warnings: The same.
        """
        return self.model_dump_json(
            indent=indent,
            by_alias=use_api_names,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )

    def model_dump(
        self,
        *,
        mode: str = "python",
        include: Any = None,
        exclude: Any = None,
        by_alias: Optional[bool] = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: Any = True,
    ) -> dict[str, Any]:
        """Return it as ``to_dict`` does, but named as here, and with what the service did not send, unless asked for.

        Args:
            mode: As for ``to_dict``.
            include: Names of fields, or names with the names inside of them; the others are left out. In a list the
                numbers of items stand for names, and ``__all__`` for all of them.
            exclude: The same for what is left out.
            by_alias: As ``use_api_names`` of ``to_dict``.
            exclude_unset: As for ``to_dict``, and so for the others.
            exclude_defaults: The same.
            exclude_none: The same.
            warnings: The same.

        Raises:
            ValueError: There is no such mode.
        """
        if mode not in ("python", "json"):
            raise ValueError(f"mode: expected python or json, got {mode!r}")
        how = _How(bool(by_alias), exclude_unset, exclude_defaults, exclude_none)
        plain = how.plain(self, include, exclude)
        dumped: dict[str, Any] = msgspec.to_builtins(plain) if mode == "json" else plain
        return dumped

    def model_dump_json(
        self,
        *,
        indent: Optional[int] = None,
        ensure_ascii: bool = False,
        include: Any = None,
        exclude: Any = None,
        by_alias: Optional[bool] = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: Any = True,
    ) -> str:
        """Return what ``model_dump`` does, as JSON.

        Args:
            indent: Spaces a level; None for one line.
            ensure_ascii: Whether to write other signs than ASCII's by their numbers.
            include: As for ``model_dump``, and so for the others.
            exclude: The same.
            by_alias: The same.
            exclude_unset: The same.
            exclude_defaults: The same.
            exclude_none: The same.
            warnings: The same.
        """
        plain = self.model_dump(
            mode="json",
            include=include,
            exclude=exclude,
            by_alias=by_alias,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )
        separators = (",", ":") if indent is None else (",", ": ")
        return json.dumps(plain, indent=indent, ensure_ascii=ensure_ascii, separators=separators)

    @property
    def model_fields_set(self) -> set[str]:
        """The names of the known fields that the service sent. Of an event: of all that are not None."""
        return {each.name for each in self._members() if each.is_set} & self._settable()


class _How(NamedTuple):
    """What is wanted of each object, at any depth."""

    by_alias: bool
    exclude_unset: bool
    exclude_defaults: bool
    exclude_none: bool

    def plain(self, value: Any, include: Any = None, exclude: Any = None) -> Any:
        if isinstance(value, Plain):
            return {
                member.sent_name if self.by_alias else member.name: self.plain(
                    member.value, _inside(include, member.name), _inside(exclude, member.name)
                )
                for member in value._members()
                if self._is_wanted(member) and _is_chosen(member.name, include, exclude)
            }
        if isinstance(value, Mapping):
            return {
                name: self.plain(each, _inside(include, name), _inside(exclude, name))
                for name, each in value.items()
                if _is_chosen(name, include, exclude)
            }
        if isinstance(value, (list, tuple)):
            return [
                self.plain(each, _inside(include, place), _inside(exclude, place))
                for place, each in enumerate(value)
                if _is_chosen(place, include, exclude)
            ]
        return value

    def _is_wanted(self, member: Member) -> bool:
        if self.exclude_none and member.value is None:
            return False
        if self.exclude_unset and not member.is_set:
            return False
        return not (self.exclude_defaults and member.value == member.default)


_ALL = "__all__"


def _is_chosen(name: object, include: Any, exclude: Any) -> bool:
    if include is not None and name not in include and _ALL not in include:
        return False
    if exclude is None:
        return True
    if isinstance(exclude, Set):
        return name not in exclude and _ALL not in exclude
    inside = exclude.get(name, exclude.get(_ALL))  # true or ... for the whole, or what is left out of it
    return not (inside is True or inside is ...)


def _inside(chosen: Any, name: object) -> Any:
    """Return what was said of the things inside of a member."""
    if not isinstance(chosen, Mapping):
        return None
    inside = chosen.get(name, chosen.get(_ALL))
    return None if isinstance(inside, bool) or inside is ... else inside
