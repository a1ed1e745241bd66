"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cartesia_sync import APIResponseValidationError, Cartesia
from cartesia_sync.resources import pages

from ..support.http_service import Asked, Out, Service, answer

KEY = "sk_car_a-key-for-answers"


def client_of(service: Service, **options: Any) -> Cartesia:
    return Cartesia(api_key=KEY, base_url=service.url, max_retries=0, **options)


def page(*ids: Any, **more: Any) -> bytes:
    return answer(200, {"data": [{"id": each} for each in ids], **more})


def targets(service: Service) -> list[str]:
    return [each.target for each in service.asked]


def test_a_list_goes_on_through_all_its_pages() -> None:
    with (
        Service(page("a", "b", has_more=True), page("c", has_more=True), page()) as service,
        client_of(service) as client,
    ):
        assert [each.id for each in client.voices.list(limit=2)] == ["a", "b", "c"]
    assert targets(service) == [
        "/voices?limit=2",
        "/voices?limit=2&starting_after=b",
        "/voices?limit=2&starting_after=c",
    ]


def test_a_list_may_go_backwards() -> None:
    with Service(page("c", "d"), page("a", "b", has_more=False)) as service, client_of(service) as client:
        first = client.voices.list(ending_before="e")
        assert first.has_next_page()
        second = first.get_next_page()
        assert [each.id for each in second.data] == ["a", "b"]
        assert not second.has_next_page()
    assert targets(service) == ["/voices?ending_before=e", "/voices?ending_before=c"]


@pytest.mark.parametrize("last", [page(), page("a", has_more=False), page(None), answer(200, {})])
def test_after_the_last_page_there_is_none(last: bytes) -> None:
    with Service(last) as service, client_of(service) as client:
        only = client.voices.list()
        assert not only.has_next_page()
        assert [each.data for each in only.iter_pages()] == [only.data]
        with pytest.raises(RuntimeError, match="no page follows"):
            only.get_next_page()
    assert len(service.asked) == 1


def test_the_same_page_again_is_no_next_page() -> None:
    with (
        Service(page("a", has_more=True)) as service,
        client_of(service) as client,
        pytest.raises(APIResponseValidationError, match="the same page again"),
    ):
        list(client.voices.list())
    assert len(service.asked) == 2


def circle(*ids: str) -> Callable[[Asked, Out], None]:
    """Answer with one page after the other, and then with the first again."""

    def say(asked: Asked, out: Out) -> None:
        before = asked.target.partition("starting_after=")[2]
        out.say(page(ids[(ids.index(before) + 1) % len(ids)] if before else ids[0], has_more=True))

    return say


@pytest.mark.parametrize("length", [2, 3, 7])
def test_pages_that_go_in_a_circle_end_with_an_error_when_the_first_comes_again(length: int) -> None:
    ids = [f"id{number}" for number in range(length)]
    got: list[str] = []
    with Service(circle(*ids)) as service, client_of(service) as client:
        with pytest.raises(APIResponseValidationError, match="the same page again"):
            got.extend(each.id for each in client.voices.list())
        assert got == ids
        last = client.voices.list()
        for _ in range(length - 1):
            last = last.get_next_page()
        for _ in range(2):
            with pytest.raises(APIResponseValidationError, match="the same page again"):
                last.get_next_page()
    assert len(targets(service)) == length + 1 + length + 2


def test_a_circle_of_any_length_is_found_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "REMEMBERED_PAGES", 2)
    ids = [f"id{number}" for number in range(50)]
    with Service(circle(*ids)) as service, client_of(service) as client:
        got: list[Any] = []
        with pytest.raises(APIResponseValidationError, match="the same page again"):
            got.extend(client.voices.list().iter_pages())
        assert max(len(each._trail.last) for each in got) == 2
    assert 50 < len(service.asked) < 200


def test_the_same_next_page_may_be_asked_for_again_and_long_lists_are_no_circles() -> None:
    pages = [page(f"id{number}", has_more=number < 299) for number in range(300)]
    with Service(page("a", has_more=True), page("b"), page("b"), *pages) as service, client_of(service) as client:
        first = client.voices.list()
        assert [first.get_next_page().data[0].id for _ in range(2)] == ["b", "b"]
        assert len(list(client.voices.list())) == 300


def test_a_page_tells_what_the_service_told() -> None:
    with Service(page("a", has_more=True, next_page="n")) as service, client_of(service) as client:
        told = client.voices.list()
    assert (len(told.data), told.has_more, told.next_page) == (1, True, "n")
    assert repr(told) == "<SyncCursorIDPage of 1>"
