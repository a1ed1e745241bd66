"""What is shown of a request and its answer."""

from __future__ import annotations

import copy
import pickle

import pytest

from cartesia_sync.exchange import Headers, HTTPRequest, HTTPResponse


def test_a_header_is_found_under_any_spelling_of_its_name() -> None:
    headers = Headers({"X-Thing": "a", "retry-after": "2"})
    assert headers["x-thing"] == headers["X-THING"] == headers.get("X-Thing") == "a"
    assert "Retry-After" in headers
    assert "other" not in headers
    assert 7 not in headers
    assert headers.get("Other") is None
    assert headers.get("Other", "b") == "b"
    assert headers == {"x-thing": "a", "retry-after": "2"}
    assert list(headers) == ["x-thing", "retry-after"]
    headers["X-THING"] = "b"
    assert headers == {"x-thing": "b", "retry-after": "2"}
    with pytest.raises(KeyError, match="other"):
        headers["Other"]


def test_headers_can_be_copied_and_pickled() -> None:
    headers = Headers({"X-Thing": "a"})
    for again in (copy.copy(headers), copy.deepcopy(headers), headers.copy(), pickle.loads(pickle.dumps(headers))):
        assert type(again) is Headers
        assert again["X-THING"] == "a"
        assert again is not headers


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.cartesia.ai/voices", "https://api.cartesia.ai/voices"),
        ("https://user:secret@host:8000/a/b?key=secret#secret", "https://host:8000/a/b"),
        ("wss://host/tts/websocket?access_token=secret", "wss://host/tts/websocket"),
        ("http://a@b@[::1]:1/x", "http://[::1]:1/x"),
    ],
)
def test_a_request_shows_its_url_without_credentials(url: str, shown: str) -> None:
    request = HTTPRequest.of("GET", url)
    assert (request.method, request.url) == ("GET", shown)


def test_an_answer_reads_its_text() -> None:
    answer = HTTPResponse(404, Headers(), '{"ä": 1}')
    assert answer.json() == {"ä": 1}
    assert answer.content == '{"ä": 1}'.encode()
    assert HTTPResponse(500).request == HTTPRequest("", "")
