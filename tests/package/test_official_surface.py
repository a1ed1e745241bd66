"""Nothing of the official client is missing without a reason; the reasons are in tests/support/official_surface.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("cartesia")

from ..support import official_surface
from ..support.official_surface import Pair


def test_what_is_missing_has_a_reason() -> None:
    assert official_surface.without_a_reason() == []


def test_a_reason_goes_when_what_it_speaks_of_is_there() -> None:
    assert official_surface.stale() == []


def test_the_page_has_the_table() -> None:
    """Made anew by ``python tests/support/official_surface.py``."""
    page = official_surface.PAGE.read_text(encoding="utf-8")
    assert official_surface.BEGIN in page
    assert page == official_surface.page_with_the_table(page)


class Theirs:
    old: int

    def method(self, one: int, *, two: int = 2) -> None: ...
    def new_method(self) -> None: ...


class Ours:
    def __init__(self) -> None:
        self.old = 1

    def method(self, one: int) -> None: ...


DIFFERENT = ["x.method(one by position)", "x.method(without two)", "x.new_method(without x)"]


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (SimpleNamespace(old=1, method=lambda *, one, two: None, new_method=lambda x: None), DIFFERENT),
        (Ours, ["x.method(two)", "x.new_method"]),
        (None, ["x.method", "x.new_method", "x.old"]),
        (SimpleNamespace(old=1, method=lambda **_: None, new_method=lambda: None), []),
    ],
)
def test_the_list_sees_a_new_name_and_a_new_argument(
    ours: Any, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Theirs, "__module__", "cartesia.new")
    monkeypatch.setattr(official_surface, "pairs", lambda: [Pair("x", Theirs, ours)])
    assert official_surface.missing() == expected
    assert official_surface.without_a_reason() == expected
