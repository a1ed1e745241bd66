from __future__ import annotations

import datetime
from typing import Any

import pytest

from cartesia_sync.local.requests import ApiError
from cartesia_sync.local.rest.store import Store, now, page, texts

LIST = [{"id": str(number)} for number in range(25)]


def ids(listed: Any) -> list[int]:
    return [int(record["id"]) for record in listed["data"]]


def test_a_page_has_ten_records_and_says_that_there_are_more() -> None:
    first = page(LIST, {})
    assert ids(first) == list(range(10))
    assert (first["has_more"], first["next_page"]) == (True, "9")


def test_pages_forwards_cover_the_list_once() -> None:
    seen: list[int] = []
    query = {"limit": "7"}
    while True:
        listed = page(LIST, query)
        seen += ids(listed)
        if not listed["has_more"]:
            break
        query["starting_after"] = listed["next_page"]
    assert seen == list(range(25))
    assert listed["next_page"] is None


def test_pages_backwards_cover_the_list_once() -> None:
    seen: list[int] = []
    query = {"limit": "7", "ending_before": "24"}
    while True:
        listed = page(LIST, query)
        seen = ids(listed) + seen
        if not listed["has_more"]:
            break
        query["ending_before"] = listed["next_page"]
    assert seen == list(range(24))


def test_behind_the_last_there_is_nothing() -> None:
    assert page(LIST, {"starting_after": "24"}) == {"data": [], "has_more": False, "next_page": None}
    assert page([], {}) == {"data": [], "has_more": False, "next_page": None}


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "-1"},
        {"limit": "x"},
        {"limit": "٣"},
        {"starting_after": "nobody"},
        {"ending_before": "nobody"},
        {"starting_after": "1", "ending_before": "2"},
    ],
)
def test_what_does_not_fit_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(ApiError) as caught:
        page(LIST, query)
    assert caught.value.status == 400


def test_a_store_keeps_order_and_knows_what_it_has_not() -> None:
    store = Store("cup", "cup_not_found")
    for name in "bca":
        store.add({"id": name})
    store.remove("c")
    assert [record["id"] for record in store] == ["b", "a"]
    for miss in (store.get, store.remove):
        with pytest.raises(ApiError) as caught:
            miss("c")
        assert (caught.value.status, caught.value.title, caught.value.error_code) == (
            404,
            "Cup not found",
            "cup_not_found",
        )


def test_texts_are_read_and_checked() -> None:
    body = {"a": "x", "b": "", "c": None, "d": 7}
    assert texts(body, ["a"], ["b", "c", "e"]) == {"a": "x", "b": ""}
    for wrong in ((["b"], []), (["e"], []), (["c"], []), (["a"], ["d"])):
        with pytest.raises(ApiError):
            texts(body, *wrong)


def test_the_time_is_written_as_the_service_does() -> None:
    assert now().endswith("Z")
    then = datetime.datetime.fromisoformat(now()[:-1]).replace(tzinfo=datetime.timezone.utc)
    assert abs((datetime.datetime.now(datetime.timezone.utc) - then).total_seconds()) < 3600


def test_a_store_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cartesia_sync.local.rest.store._MOST_BYTES", 10_000)
    store = Store("thing")
    for name in "abcd":
        record = store.add({"id": name, "text": name * 2000})
    with pytest.raises(ApiError) as caught:
        store.add({"id": "e", "text": "e" * 2000})
    assert (caught.value.status, caught.value.title) == (403, "Limit reached")
    with pytest.raises(ApiError, match="delete a thing"):
        store.change(record, {"text": "d" * 5000})
    assert len(record["text"]) == 2000
    store.change(record, {"text": ""})
    store.add({"id": "e", "text": "e" * 2000})
    for name in "abcde":
        store.remove(name)
    assert store._bytes == 0


@pytest.mark.parametrize("digits", ["9" * 5000, "00001"])
def test_a_limit_has_few_digits(digits: str) -> None:
    with pytest.raises(ApiError, match="limit is a number"):
        page([], {"limit": digits})
