from __future__ import annotations

import builtins
import copy
import importlib
import inspect
import json
import pickle
import pkgutil
import re
from typing import Any

import pytest

import cartesia_sync
from cartesia_sync import errors
from cartesia_sync.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    CartesiaError,
    ConcurrencyError,
    ConflictError,
    ContextFacts,
    ContextStateError,
    ContextTimeoutError,
    GapTimeoutError,
    InternalServerError,
    MissingCredentialsError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    TruncatedError,
    UnprocessableEntityError,
    WebSocketConnectionClosedError,
    status_error,
)
from cartesia_sync.protocol import codec

FACTS: dict[str, Any] = {
    "body": {"title": "T", "details": [1, None]},
    "close_code": 1007,
    "code": 1011,
    "context_id": "c-1",
    "doc_url": "https://docs.example/e",
    "error_code": "voice_not_found",
    "headers": {"retry-after": "2"},
    "limit_bytes": 16,
    "reason": "going away",
    "received_bytes": 17,
    "request_id": "r-1",
    "slots": 4,
    "status_code": 418,
    "text": "what it said",
    "timeout": 1.5,
    "title": "T",
    "unspoken": ("two ", "three"),
}
CONTEXT_FACTS: dict[str, Any] = {
    "context_id": "c-2",
    "audio_bytes": 7,
    "audio_seconds": 0.5,
    "heard": True,
    "transcripts": ("one ", "two"),
}


def all_kinds() -> list[type[CartesiaError]]:
    """Yield every exception of the package under ``CartesiaError``, wherever it is written."""
    for room in ("protocol", "transport", "streaming", "resources"):
        package = importlib.import_module(f"cartesia_sync.{room}")
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
    found = [CartesiaError]
    for kind in found:
        found += [each for each in kind.__subclasses__() if each not in found]
    return [kind for kind in found if kind.__module__.startswith("cartesia_sync.")]


KINDS = pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.__name__)


def full(kind: type[CartesiaError]) -> CartesiaError:
    """Make one with a fact for every parameter; a parameter that is new here needs one in the table above."""
    parameters = inspect.signature(kind.__init__).parameters.values()
    named = {each.name: FACTS[each.name] for each in parameters if each.kind is each.KEYWORD_ONLY}
    error = kind("what went wrong", **named)
    if isinstance(error, ContextFacts):
        error.remember(**CONTEXT_FACTS)
    return error


def assert_same(again: object, error: CartesiaError) -> None:
    assert type(again) is type(error)
    assert isinstance(again, CartesiaError)
    assert again is not error
    assert str(again) == str(error)
    assert again.args == error.args
    assert vars(again) == vars(error)


# ---- handing on


@KINDS
def test_every_exception_survives_pickling_with_all_its_facts(kind: type[CartesiaError]) -> None:
    error = full(kind)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert_same(pickle.loads(pickle.dumps(error, protocol)), error)


@KINDS
def test_every_fact_is_an_attribute_of_its_name(kind: type[CartesiaError]) -> None:
    facts = {**FACTS, **CONTEXT_FACTS} if issubclass(kind, ContextFacts) else FACTS
    error = full(kind)
    names = [each for each in inspect.signature(kind.__init__).parameters if each in facts]
    assert {name: getattr(error, name) for name in names} == {name: facts[name] for name in names}


@KINDS
def test_every_exception_can_be_copied_with_all_its_facts(kind: type[CartesiaError]) -> None:
    error = full(kind)
    assert_same(copy.copy(error), error)
    assert_same(copy.deepcopy(error), error)


@KINDS
def test_every_exception_can_be_made_from_its_args_alone(kind: type[CartesiaError]) -> None:
    """As task queues do that keep results as JSON: a class name and ``args``."""
    error = full(kind)
    again = kind(*error.args)
    assert str(again) == str(error) == "what went wrong"
    assert set(vars(again)) <= set(vars(error))


@KINDS
def test_every_exception_can_be_made_without_a_word(kind: type[CartesiaError]) -> None:
    assert isinstance(str(kind()), str)


def test_an_error_event_that_is_the_body_survives_pickling_and_copying_whole() -> None:
    event = codec.decode(b'{"type":"error","context_id":"a","message":"no","status_code":400,"hint":"new here"}')
    error = status_error(400, "no", body=event)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert again.body == event
        assert again.body.extra == {"hint": "new here"}


def test_facts_of_a_context_are_attributes_of_the_exception() -> None:
    error = full(TruncatedError)
    assert {name: getattr(error, name) for name in CONTEXT_FACTS} == CONTEXT_FACTS
    unwritten = TruncatedError()
    assert {name: getattr(unwritten, name) for name in CONTEXT_FACTS} == {
        "context_id": "",
        "audio_bytes": 0,
        "audio_seconds": 0.0,
        "heard": False,
        "transcripts": (),
    }


# ---- the tree


def drawn_tree() -> dict[str, tuple[str, set[str]]]:
    """Read the drawing in the module's docstring: each name's parent, and what it also is."""
    drawn: dict[str, tuple[str, set[str]]] = {}
    above: list[tuple[int, str]] = []  # the branch that leads to the line, with the columns
    for line in (errors.__doc__ or "").splitlines():
        column = line.find("+-- ")
        if line.strip() == "CartesiaError":
            above = [(line.index("C"), "CartesiaError")]
            continue
        by_status = re.findall(r"(\w+Error) \d(?:\d\d|xx)", line)
        if column < 0 and not by_status:
            continue
        if column >= 0:
            while above[-1][0] >= column:
                above.pop()
        parent = above[-1][1]
        names = by_status or re.findall(r"\w+", line[column + len("+-- ") :])[:1]
        also = set(re.findall(r"also an? (\w+)", line))
        drawn.update(dict.fromkeys(names, (parent, also)))
        if column >= 0 and not by_status:
            above.append((column, names[0]))
    return drawn


def real_tree() -> dict[str, tuple[str, set[str]]]:
    tree = {}
    for kind in all_kinds():
        if kind is not CartesiaError:
            (parent,) = (base.__name__ for base in kind.__bases__ if issubclass(base, CartesiaError))
            also = {base.__name__ for base in kind.__bases__ if base.__module__ == "builtins"}
            tree[kind.__name__] = (parent, also)
    return tree


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    drawn = drawn_tree()
    assert len(drawn) > 20  # that the drawing was read at all
    assert drawn == real_tree()


def test_every_exception_can_be_imported_from_the_package() -> None:
    assert {kind.__name__ for kind in all_kinds()} <= set(cartesia_sync.__all__)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (APITimeoutError, TimeoutError),
        (ContextTimeoutError, TimeoutError),
        (GapTimeoutError, TimeoutError),
        (ContextStateError, ValueError),
        (MissingCredentialsError, ValueError),
        (ConcurrencyError, RuntimeError),
    ],
)
def test_errors_can_be_caught_under_pythons_own_name_and_under_ours(
    kind: type[CartesiaError], builtin: type[Exception]
) -> None:
    with pytest.raises(builtin, match=r"^why$"):
        raise kind("why")
    with pytest.raises(CartesiaError, match=r"^why$"):
        raise kind("why")


def test_a_timeout_keeps_its_message_though_it_is_an_oserror() -> None:
    error = GapTimeoutError("went silent", timeout=2.0)
    assert (str(error), error.message, error.timeout, error.errno, error.args) == (
        "went silent",
        "went silent",
        2.0,
        None,
        ("went silent",),
    )


# ---- the official client's names

WITHOUT_A_COUNTERPART = {"WebSocketQueueFullError"}
"""Nothing is queued here on the way out: a message has left, or it has raised."""


def official_kinds() -> dict[str, type[Exception]]:
    cartesia = pytest.importorskip("cartesia")
    named = {name: getattr(cartesia, name) for name in cartesia.__all__}
    return {
        name: kind
        for name, kind in named.items()
        if isinstance(kind, type) and issubclass(kind, cartesia.CartesiaError)
    }


def test_every_exception_of_the_official_client_is_here_and_hangs_below_the_same_ones() -> None:
    official = official_kinds()
    assert len(official) > 10
    assert {name for name in official if not hasattr(errors, name)} == WITHOUT_A_COUNTERPART
    for name in official.keys() - WITHOUT_A_COUNTERPART:
        ancestors = {base.__name__ for base in official[name].__mro__ if base.__module__.split(".")[0] == "cartesia"}
        ours = {base.__name__ for base in getattr(errors, name).__mro__}
        assert ancestors <= ours, name


@KINDS
def test_every_exception_can_be_made_anew_of_its_arguments_alone(kind: type[CartesiaError]) -> None:
    """As Celery's JSON backend does: it keeps an exception's class and ``args``, as JSON."""
    error = full(kind)
    again = type(error)(*json.loads(json.dumps(error.args)))
    assert (str(again), again.args) == (str(error), error.args)
    for name in vars(error):
        getattr(again, name)
    pickle.loads(pickle.dumps(again))


@pytest.mark.parametrize("kind", [each for each in all_kinds() if issubclass(each, APIStatusError)])
def test_a_refusal_has_its_class_status_where_no_other_is_given(kind: type[APIStatusError]) -> None:
    status = kind("why").status_code
    assert status_error(status, "why").status_code == status
    assert type(status_error(status, "why")) is kind
    assert kind("why").response.status_code == status
    assert kind("why", status_code=599).status_code == 599


def test_a_refusal_without_an_answer_of_its_own_has_what_it_says_for_one() -> None:
    event = {"type": "error", "title": "Oh"}
    error = APIStatusError("why", status_code=400, body=event)
    assert (error.response.json(), error.response.headers, error.request.url) == (event, {}, "")
    assert BadRequestError("why").response.text == ""
    with pytest.raises(ValueError, match="Expecting value"):
        BadRequestError("why", body="Oh: no").response.json()
    assert APIResponseValidationError("why", status_code=200, body="half").response.text == "half"


@pytest.mark.parametrize("name", ["APIError", "APIStatusError", "APIResponseValidationError", "RateLimitError"])
def test_exceptions_have_the_official_clients_attributes(name: str) -> None:
    attributes = {
        attribute
        for base in official_kinds()[name].__mro__
        for attribute in vars(base).get("__annotations__", {})
        if base.__module__.split(".")[0] == "cartesia"
    }
    error = getattr(errors, name)("why")
    assert not {attribute for attribute in attributes if not hasattr(error, attribute)}


def test_a_closed_connections_unsent_messages_are_a_list_of_its_own() -> None:
    first, second = WebSocketConnectionClosedError(), WebSocketConnectionClosedError()
    assert first.unsent_messages == []
    assert first.unsent_messages is not second.unsent_messages


# ---- by status


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, APIStatusError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, APIStatusError),
        (409, ConflictError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (499, APIStatusError),
        (500, InternalServerError),
        (503, InternalServerError),
        (599, InternalServerError),
        (0, APIStatusError),
        (200, APIStatusError),
        (301, APIStatusError),
    ],
)
def test_status_error_chooses_the_class_by_the_status(status: int, kind: type[APIStatusError]) -> None:
    error = status_error(status, "why", title="T", request_id="r", error_code="e", doc_url="d", body=b"x", headers={})
    assert type(error) is kind
    assert (str(error), error.message, error.status_code) == ("why", "why", status)
    assert (error.title, error.request_id, error.error_code, error.doc_url, error.body) == ("T", "r", "e", "d", b"x")


def test_status_error_agrees_with_the_official_client_on_every_status() -> None:
    cartesia = pytest.importorskip("cartesia")
    httpx = pytest.importorskip("httpx")
    with cartesia.Cartesia(api_key="k") as client:
        for status in range(400, 600):
            response = httpx.Response(status, request=httpx.Request("GET", "http://127.0.0.1/"))
            official = client._make_status_error("why", body=None, response=response)
            assert type(status_error(status, "why")).__name__ == type(official).__name__


def test_the_headers_of_an_error_are_its_own() -> None:
    headers = {"retry-after": "2"}
    error = APIStatusError("why", headers=headers)
    headers.clear()
    assert error.headers == {"retry-after": "2"}
    assert APIStatusError("why").headers == {}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        (" 3 ", 3.0),
        ("0", 0.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-1", None),
    ],
)
def test_retry_after_is_a_number_one_can_wait_or_none(value: str, seconds: float | None) -> None:
    assert RateLimitError("why", headers={"retry-after": value}).retry_after == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "-1"}, None),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:09 GMT"}, 9.0),
        ({"retry-after": "Friday, 15-Jan-27 08:00:09 GMT"}, 9.0),
        ({"retry-after": "Fri Jan 15 08:00:09 2027"}, 9.0),
        ({"retry-after": "Fri, 15 Jan 2027 07:59:59 GMT"}, None),
        ({"retry-after": "Fri, 99 Foo 2027 08:00:09 GMT"}, None),
        ({"retry-after": "Fri, 15 Jan 99999 08:00:09 GMT"}, None),
        ({"retry-after": "Fri, 15 Jan 0000 08:00:09 GMT"}, None),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:09 +9999999999999999"}, None),
    ],
)
def test_retry_after_may_be_in_milliseconds_or_a_date(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], seconds: float | None
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)  # Friday, 15 January 2027, 08:00
    assert RateLimitError("why", headers=headers).retry_after == seconds


def test_retry_after_is_none_where_the_service_did_not_say() -> None:
    assert RateLimitError("why").retry_after is None


# ---- defaults


def test_what_an_api_error_says_is_its_message() -> None:
    error = APIError("why", body={"a": 1})
    assert (str(error), error.message, error.body) == ("why", "why", {"a": 1})
    assert (APIError().message, APIError().body) == ("", None)
    assert APITimeoutError().message == str(APITimeoutError()) == "Request timed out."
    assert APIConnectionError("why").message == ProtocolError("why").message == "why"
    assert APIResponseValidationError("why", body="<html>").body == "<html>"


@KINDS
def test_the_docstring_says_more_than_the_name(kind: type[CartesiaError]) -> None:
    assert kind.__doc__ is not None
    assert len(kind.__doc__) > len(kind.__name__)
    assert not hasattr(builtins, kind.__name__)  # nothing of Python's is hidden by a star import
