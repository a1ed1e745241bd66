"""The service's answers as typed records; what it adds later is kept, and what it changes costs nothing.

The service may add fields and values within one API version (docs page ``api-conventions``), and is not always exact
about its own types. So a record is made field by field: a value that does not fit its annotation stays as it came, a
missing one is None, and an unknown one is an attribute too.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct, structs

from .plain import NO_DEFAULT, Member, Plain

_EXTRA = "extra_fields"
_UNSENT = "unsent_fields"


class Fixed(Struct, Plain):
    """An object of which this version knows all fields."""

    def _members(self) -> Iterator[Member]:
        for name, sent_name, default in _defaults(type(self)):
            value = getattr(self, name)
            yield Member(name, sent_name, value, value is not None, default)

    def _settable(self) -> set[str]:
        return {name for name, _, _ in _defaults(type(self))}


class Open(Fixed, kw_only=True, dict=True):
    """An object to which the service may add fields; those are kept beside the known ones."""

    @property
    def extra(self) -> dict[str, Any]:
        """The fields that the service sent and this version does not know, by name."""
        found: dict[str, Any] = self.__dict__.get(_EXTRA, {})
        return found

    def _members(self) -> Iterator[Member]:
        unsent = self.__dict__.get(_UNSENT)  # None where it was not made of the service's JSON
        for member in super()._members():
            yield member._replace(is_set=member.is_set or (unsent is not None and member.name not in unsent))
        for name, value in self.extra.items():
            yield Member(name, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # msgspec's own leaves __dict__ out, and with it the unknown fields.
        return _remake, (type(self), {name: getattr(self, name) for name in self.__struct_fields__}, self.__dict__)

    def __copy__(self) -> Open:
        remake, arguments = self.__reduce__()
        copied: Open = remake(*arguments)
        return copied


class Record(Open):
    """One of the service's objects; its unknown fields are attributes too."""

    if not TYPE_CHECKING:  # to a type checker a misspelt name is to be an error

        def __getattr__(self, name: str) -> Any:
            # Only for names that there are not otherwise: no field of the service can take a method's place.
            try:
                return self.__dict__[_EXTRA][name]
            except KeyError:
                raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}") from None


_R = TypeVar("_R", bound=Open)


def _remake(kind: type[_R], fields: Mapping[str, Any], rest: Mapping[str, Any]) -> _R:
    made = kind(**fields)
    made.__dict__.update(rest)
    return made


@cache
def _defaults(kind: type[Struct]) -> tuple[tuple[str, str, Any], ...]:
    """Return each field's name here and on the wire, and its default; looked up once, since it is slow."""
    return tuple(
        (each.name, each.encode_name, NO_DEFAULT if each.default is msgspec.NODEFAULT else each.default)
        for each in structs.fields(kind)
    )


def read(kind: Any, value: Any) -> Any:
    """Make what an annotation says out of decoded JSON, as far as it fits.

    Args:
        kind: A ``Record``, a list, a mapping or an Optional of what can be read, or any type that msgspec converts to.
        value: The decoded JSON.
    """
    if value is None:
        return None
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in _UNIONS and len(arguments) == 2 and type(None) in arguments:
        return read(next(each for each in arguments if each is not type(None)), value)
    if origin is list and isinstance(value, list):
        return [read(arguments[0], each) for each in value]
    if origin is dict and isinstance(value, Mapping):
        return {name: read(arguments[1], each) for name, each in value.items()}
    if isinstance(kind, type) and issubclass(kind, Record) and isinstance(value, Mapping):
        fields = _fields(kind)
        known = {name: read(each, value.get(sent)) for sent, (name, each) in fields.items()}
        extra = {name: each for name, each in value.items() if name not in fields}
        unsent = frozenset(name for sent, (name, _) in fields.items() if sent not in value)
        return _remake(kind, known, {_UNSENT: unsent, **({_EXTRA: extra} if extra else {})})
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, TypeError):
        return value


_UNIONS = (Union, getattr(types, "UnionType", Union))


@cache
def _fields(kind: type[Record]) -> dict[str, tuple[str, Any]]:
    """Return each field's name on the wire, and its name and type here; looked up once, since it is slow."""
    return {each.encode_name: (each.name, each.type) for each in structs.fields(kind)}
