"""The forms of the client and the resources whose methods give the answers themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.resources.base import Resource
from cartesia_sync.resources.raw import Answered, WithRawResponse, WithStreamingResponse

ALONE = {"bytes", "connection", "pool", "websocket", "websocket_connect"}
"""Methods whose result is no answer over HTTP; of those that the official client has, it has no such form either."""
HOW = pytest.mark.parametrize(
    ("how", "base"), [("with_raw_response", WithRawResponse), ("with_streaming_response", WithStreamingResponse)]
)


def resources() -> Iterator[tuple[str, Resource]]:
    def below(owner: Any, prefix: str) -> Iterator[tuple[str, Resource]]:
        for name, value in inspect.getmembers(type(owner), lambda value: isinstance(value, property)):
            if name.startswith("_") or name in ("auth_headers", "default_headers"):
                continue
            found = value.__get__(owner)
            if isinstance(found, Resource):
                yield f"{prefix}{name}", found
                yield from below(found, f"{prefix}{name}.")

    yield from below(Cartesia(api_key="any"), "")


RESOURCES = dict(resources())


@HOW
@pytest.mark.parametrize("name", RESOURCES)
def test_every_method_of_a_resource_has_its_form(name: str, how: str, base: type) -> None:
    resource = RESOURCES[name]
    form = getattr(resource, how)
    assert isinstance(form, base)
    methods = {
        each
        for each, value in vars(type(resource)).items()
        if inspect.isfunction(value) and not each.startswith("_") and each not in ALONE
    }
    assert methods
    assert {each for each, value in vars(type(form)).items() if isinstance(value, Answered)} == methods
    for each in methods:
        assert inspect.signature(getattr(form, each)) == inspect.signature(getattr(resource, each))
        assert inspect.getdoc(getattr(form, each)) == inspect.getdoc(getattr(resource, each))
        assert getattr(type(form), each) is getattr(type(resource), each)


@HOW
def test_the_clients_form_leads_to_the_same_ones(how: str, base: type) -> None:
    client = Cartesia(api_key="any")
    assert len(RESOURCES) == 14
    for name, resource in RESOURCES.items():
        found = getattr(client, how)
        for part in name.split("."):
            found = getattr(found, part)
        assert type(found) is type(getattr(resource, how))
        assert found._resource._client is client


@HOW
def test_what_there_is_not_is_said_so(how: str, base: type) -> None:
    form = getattr(Cartesia(api_key="any").tts, how)
    for name in ALONE:
        with pytest.raises(AttributeError, match=name):
            getattr(form, name)
