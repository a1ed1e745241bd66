from __future__ import annotations

import importlib
import inspect
import types
from typing import Any

import pytest

import cartesia_sync
from cartesia_sync import errors, resources


def public_names() -> set[str]:
    """Return what the package shows: its names but for modules and what a ``__future__`` import leaves behind."""
    return {
        name
        for name, value in vars(cartesia_sync).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    } - {"annotations", "Any", "TYPE_CHECKING"} | cartesia_sync._LATER.keys()


def test_all_names_what_is_public() -> None:
    assert set(cartesia_sync.__all__) == public_names() | {"types", "__version__"}


def test_all_names_each_thing_once() -> None:
    """In the order that ruff wants."""
    assert sorted(cartesia_sync.__all__) == sorted(set(cartesia_sync.__all__))
    assert sorted(cartesia_sync.types.__all__) == sorted(set(cartesia_sync.types.__all__))


def test_a_name_that_is_loaded_later_is_the_one_of_its_room() -> None:
    for name, room in cartesia_sync._LATER.items():
        module = importlib.import_module(f"cartesia_sync.{room}")
        assert getattr(cartesia_sync, name) is vars(module)[name]
        assert name in dir(cartesia_sync)


def test_the_official_clients_places_have_the_same_classes() -> None:
    from cartesia_sync.pagination import SyncCursorIDPage
    from cartesia_sync.resources import tts

    assert SyncCursorIDPage is cartesia_sync.SyncCursorIDPage
    assert tts.TTSResourceConnection is cartesia_sync.Connection
    assert tts.TTSResourceConnectionManager is cartesia_sync.ConnectionManager
    assert tts.WebSocketContext is cartesia_sync.Context
    client = cartesia_sync.Cartesia(api_key="any")
    for name in resources.__all__:
        noun = getattr(resources, name)
        assert any(type(getattr(client, each)) is noun for each in dir(type(client)) if not each.startswith("_"))
    for module in (tts, resources):
        assert not hasattr(module, "Nonsense")


def test_a_name_that_is_not_there_is_not_made_up() -> None:
    assert not hasattr(cartesia_sync, "Nonsense")
    with pytest.raises(AttributeError, match="no asyncio; its client works from any number of threads"):
        cartesia_sync.AsyncCartesia  # noqa: B018  # the attribute is what is asked for


def test_a_star_import_gives_what_all_names() -> None:
    names: dict[str, Any] = {}
    exec("from cartesia_sync import *", names)
    assert names.keys() - {"__builtins__"} == set(cartesia_sync.__all__)
    assert all(names[name] is getattr(cartesia_sync, name) for name in cartesia_sync.__all__)


def test_each_public_thing_has_a_docstring_and_so_have_its_public_methods() -> None:
    for name in set(cartesia_sync.__all__) - {"__version__", "NoneType"}:  # Python's own says nothing
        thing = getattr(cartesia_sync, name)
        assert thing.__doc__, name
        if isinstance(thing, type):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (inspect.isroutine(value) or inspect.isdatadescriptor(value)):
                    assert inspect.getdoc(value), f"{name}.{member}"


def test_a_name_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="module 'cartesia_sync' has no attribute 'Nonsense'"):
        cartesia_sync.Nonsense  # type: ignore[attr-defined]  # noqa: B018  # which mypy knows; the look is the test


def test_every_exception_of_the_errors_module_is_public() -> None:
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert kinds <= set(cartesia_sync.__all__)


def test_the_version_is_one() -> None:
    numbers = cartesia_sync.__version__.split(".")
    assert len(numbers) == 3
    assert all(number.isdecimal() for number in numbers)
