"""What all resources share: a method's arguments become one HTTP request, and its answer a typed result."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, TypedDict, TypeVar, Union, get_origin, overload
from urllib.parse import quote, urlsplit

from ..core import Core, checked_retries, merged
from ..errors import APIResponseValidationError
from ..protocol import codec
from ..protocol.models import base as records
from ..protocol.requests import omit
from ..protocol.timeouts import Timeout
from ..transport.redaction import redacted, secrets_in
from .binary import BinaryAPIResponse
from .events import Stream
from .pages import SyncCursorIDPage

if TYPE_CHECKING:
    from ..parameters import FileTypes as FileTypes
    from ..protocol.requests import Omit
    from ..protocol.timeouts import HttpxTimeout
    from ..transport.http.request import Request
    from ..transport.http.response import Response

_T = TypeVar("_T")
JSON, AUDIO, EVENTS = "application/json", "audio/wav", "text/event-stream"
"""What is asked for. The official client asks for audio/wav whatever the container."""

GENERATING = frozenset(("/tts/bytes", "/tts/sse", "/infill/bytes", "/voice-changer/bytes", "/voice-changer/sse"))
"""What counts against the account's limit while its answer is being made."""

_SHOWN_BYTES = 1000


class RequestOptions(TypedDict, total=False):
    """What every method takes besides its own arguments.

    Attributes:
        extra_headers: In place of the client's of the same name; ``omit`` sends none of that name.
        extra_query: Added to the query.
        extra_body: Added to the JSON body or the form; wins over a field of the same name.
        timeout: Seconds in place of the client's: one number, (connect, read), a ``Timeout`` or an ``httpx.Timeout``;
            None is no limit, and ``NOT_GIVEN`` leaves it to the client.
    """

    extra_headers: Optional[Mapping[str, Union[str, Omit]]]
    extra_query: Optional[Mapping[str, object]]
    extra_body: Optional[Mapping[str, object]]
    timeout: Union[float, tuple[Optional[float], Optional[float]], Timeout, HttpxTimeout, Omit, None]


class Resource:
    """A noun of the API: its methods send requests to the service.

    Threads: any, at once. Each method waits for the service: for a connection at most ``timeout.connect``, for each
    piece of the answer ``timeout.read``, and that again for each of ``max_retries``.
    """

    def __init__(self, client: Core, answers: Optional[type[Answers]] = None) -> None:
        self._client = client
        self._answers = (answers or Answers)(Requester(client))

    @overload
    def _fetch(self, method: str, path: str, kind: None, options: RequestOptions, **request: Any) -> None: ...

    @overload
    def _fetch(self, method: str, path: str, kind: type[_T], options: RequestOptions, **request: Any) -> _T: ...

    def _fetch(self, method: str, path: str, kind: Any, options: RequestOptions, **request: Any) -> Any:
        """Return a typed answer; see ``Requester.fetch``."""
        return self._answers.fetch(method, path, kind, options, **request)

    def _page(
        self, path: str, kind: Any, query: Mapping[str, object], options: RequestOptions
    ) -> SyncCursorIDPage[Any]:
        """Return the first page of a list."""
        page: SyncCursorIDPage[Any] = self._answers.page(path, kind, query, options)
        return page

    def _audio(
        self,
        method: str,
        path: str,
        options: RequestOptions,
        *,
        accept: str = AUDIO,
        output_format: Optional[Mapping[str, Any]] = None,
        **request: Any,
    ) -> BinaryAPIResponse:
        """Return audio, or other bytes, that are read as they arrive."""
        return self._answers.audio(method, path, options, accept, output_format, **request)

    def _events(
        self, path: str, options: RequestOptions, event_of: Callable[[bytes], _T], **request: Any
    ) -> Stream[_T]:
        """Return events that are read as they arrive."""
        events: Stream[_T] = self._answers.events(path, options, event_of, **request)
        return events


class Answers:
    """What the methods of a resource return: typed values.

    These four methods are all that a resource asks of the client, and a method returns what it gets. So the same
    resource with answers of another kind has methods that return those; ``raw.RawAnswers`` are such.
    """

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    def fetch(self, method: str, path: str, kind: Any, options: RequestOptions, **request: Any) -> Any:
        """Return what an answer is made into; see ``Requester.fetch``."""
        return self._requester.fetch(method, path, kind, options, **request)

    def page(self, path: str, kind: Any, query: Mapping[str, object], options: RequestOptions) -> Any:
        """Return the first page of a list, a ``SyncCursorIDPage``."""
        return SyncCursorIDPage.fetched(self._asking(path, options), kind, query)

    def audio(
        self,
        method: str,
        path: str,
        options: RequestOptions,
        accept: str,
        output_format: Optional[Mapping[str, Any]],
        **request: Any,
    ) -> BinaryAPIResponse:
        """Return bytes that are read as they arrive."""
        response = self._requester.open(method, path, options, accept=accept, **request)
        return BinaryAPIResponse(response, output_format)

    def events(self, path: str, options: RequestOptions, event_of: Callable[[bytes], Any], **request: Any) -> Any:
        """Return events that are read as they arrive, a ``Stream``."""
        return Stream(self._requester.open("POST", path, options, accept=EVENTS, **request), event_of)

    def _asking(self, path: str, options: RequestOptions) -> Callable[[Mapping[str, object]], Any]:
        """Return what asks for a page, by its query."""
        return lambda query: self._requester.fetch("GET", path, dict, options, query=query)


class Requester:
    """Turns arguments into requests, and answers into values, by one client's settings.

    It reads them at each request, since a user may change them.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def fetch(
        self, method: str, path: str, kind: Any, options: RequestOptions, *, accept: str = JSON, **request: Any
    ) -> Any:
        """Send a request and read the whole answer.

        Args:
            method: GET, POST, PATCH, PUT or DELETE.
            path: Below the base URL.
            kind: What to make of the answer's JSON (see ``protocol.models.base.read``); None for an answer without
                content, ``str`` and ``bytes`` for the body as it is.
            options: What the user gave besides the method's own arguments.
            accept: The content type that is asked for.
            **request: ``query``, ``body``, ``form`` and ``files``.

        Raises:
            APIResponseValidationError: The answer cannot be read, or is longer than ``max_answer_bytes``.
            APIError: See each class in ``cartesia_sync.errors``.
        """
        response, content = self.send(method, path, options, accept=accept, **request)
        return value_of(kind, content, response)

    def send(
        self, method: str, path: str, options: RequestOptions, *, accept: str, **request: Any
    ) -> tuple[Response, bytes]:
        """Send a request, and return the answer with its whole body."""
        return self._core._http.fetch(self._prepared(method, path, options, accept, **request))

    def open(self, method: str, path: str, options: RequestOptions, *, accept: str, **request: Any) -> Response:
        """Send a request and return the answer as soon as its head is there."""
        return self._core._http.open(self._prepared(method, path, options, accept, **request))

    def _prepared(
        self,
        method: str,
        path: str,
        options: RequestOptions,
        accept: str,
        *,
        query: Optional[Mapping[str, object]] = None,
        body: Optional[Mapping[str, object]] = None,
        form: Optional[Mapping[str, object]] = None,
        files: Optional[Mapping[str, Any]] = None,
        max_retries: Optional[int] = None,
    ) -> Request:
        from ..transport.http.request import Request
        from ..transport.http.request import form as encoded_form

        if not method.isalpha():
            raise ValueError(f"the method of a request is a word; got {method!r}")
        unknown = set(options) - RequestOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"{method} {path}: unexpected argument {', '.join(sorted(unknown))}")
        extra_body = options.get("extra_body") or {}
        headers, content = {"Accept": accept}, None
        if form is not None or files is not None:
            fields: list[tuple[str, Any]] = list(_flat({**(form or {}), **extra_body}, of_list="[]"))
            fields += [(name, _file(name, each)) for name, each in given(files or {}).items()]
            content, headers["Content-Type"] = encoded_form(fields)
        elif method != "GET" and (body is not None or extra_body):  # as the official client: a GET has no body
            content, headers["Content-Type"] = codec.encode({**given(body or {}), **extra_body}), JSON
        timeout = self._timeout_of(options)
        headers = merged(headers, self._core._headers, options.get("extra_headers") or {})
        return Request(
            method=method,
            url=self._url(path),
            path=urlsplit(path).path,
            query=list(_flat({**self._core._default_query, **(query or {}), **(options.get("extra_query") or {})})),
            headers=headers,
            ask=self._core._asker(headers),
            body=content,
            connect_timeout=timeout.connect,
            read_timeout=timeout.read,
            max_retries=self._core.max_retries if max_retries is None else checked_retries(max_retries),
            max_answer_bytes=self._core.max_answer_bytes,
            take_slot=self._core._slot_taker() if method == "POST" and urlsplit(path).path in GENERATING else None,
        )

    def _timeout_of(self, options: RequestOptions) -> Timeout:
        asked = options.get("timeout", omit)
        return self._core.timeout if asked is omit else Timeout.of(asked)

    def _url(self, path: str) -> str:
        """Join a path to the base URL; return a whole URL as it is, if the key may be sent there."""
        if "://" not in path.partition("?")[0]:
            return f"{self._core.base_url}/{path.lstrip('/')}"
        if re.search(r"[\\@\s]", path.partition("?")[0]) or not path.isprintable():
            # Parsers differ on whose host such a URL names: what is checked must be what is asked.
            raise ValueError("a URL with a user name, a backslash, a space or a line break is not asked for")
        asked, ours = urlsplit(path), urlsplit(self._core.base_url)
        same_service = asked.scheme == "https" and all(
            (each.hostname or "").endswith(".cartesia.ai") for each in (asked, ours)
        )
        if same_service or (asked.scheme, asked.netloc) == (ours.scheme, ours.netloc):
            return path
        raise ValueError(
            f"a URL of {self._core.base_url} is expected, for the key goes with it; got one of another host"
        )


def given(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields without those that were not given."""
    return {name: value for name, value in fields.items() if value is not omit}


def path(template: str, **ids: str) -> str:
    """Put ids into a path.

    Raises:
        ValueError: An id is empty, or no part of a path.
    """
    for name, value in ids.items():
        if not isinstance(value, str):
            raise TypeError(f"{name}: expected an id as text, got {value!r}")
        if value in ("", ".", ".."):
            raise ValueError(f"{name}: expected an id, got {value!r}")
    return template.format(**{name: quote(value, safe="") for name, value in ids.items()})


def _flat(fields: Mapping[str, object], inside: str = "", *, of_list: str = "") -> Iterator[tuple[str, str]]:
    """Write fields as a query does: ``a[b]`` for a mapping, one a value for a list, none for None.

    Args:
        fields: The fields.
        inside: The name of what they belong to.
        of_list: Follows the name of a list: nothing in a query, ``[]`` in a form, as the official client has it.
    """
    for key, value in given(fields).items():
        name = f"{inside}[{key}]" if inside else key
        if isinstance(value, Mapping):
            yield from _flat(value, name, of_list=of_list)
            continue
        ending, values = (of_list, value) if isinstance(value, (list, tuple)) else ("", [value])
        for each in values:
            if each is not None:
                yield name + ending, {True: "true", False: "false"}[each] if isinstance(each, bool) else str(each)


def _file(name: str, value: Any) -> tuple[Any, ...]:
    """Read a file that is to be sent as a whole, so that a retry can send it again."""
    file_name, content, *content_type = value if isinstance(value, tuple) else (None, value)
    if isinstance(content, os.PathLike):
        file_name = file_name or os.path.basename(os.fspath(content))
        with open(content, "rb") as file:
            content = file.read()
    elif hasattr(content, "read"):
        file_name = file_name or os.path.basename(str(getattr(content, "name", ""))) or None
        content = _rest_of(name, content)
    if not isinstance(content, (bytes, bytearray, memoryview)):
        got = "a file opened for text" if isinstance(content, str) and not isinstance(value, str) else repr(value)[:80]
        raise TypeError(f"{name}: expected bytes, a binary file object, a path (os.PathLike) or a tuple, got {got}")
    return (file_name or "upload", bytes(content), *(each for each in content_type if each))


def _rest_of(name: str, file: Any) -> Any:
    """Read a file object from where it stands; one that stands at its end from its beginning."""
    content = file.read()
    if not content:
        try:
            file.seek(0)
            content = file.read()
        except (AttributeError, OSError):  # a pipe, or the like
            pass
    if not content:
        raise ValueError(f"{name}: the file is empty, or was read to its end and cannot be rewound: {file!r:.80}")
    return content


def value_of(kind: Any, content: bytes, response: Response) -> Any:
    """Make what was asked for of an answer's body; see ``Requester.fetch``."""
    if kind is None:
        return None
    if kind in (bytes, str):
        response.check_length_was_said()  # JSON that broke off cannot be read, but a text can
        return content if kind is bytes else content.decode("utf-8", "replace")
    return _typed(kind, content, response.status_code, response.request)


def _typed(kind: Any, content: bytes, status_code: int, request: Request) -> Any:
    try:
        value = codec.decode_answer(content)
    except ValueError as error:
        raise _unreadable(f"is not JSON: {error}", content, status_code, request) from error
    for expected, name in ((list, "array"), (dict, "object")):
        is_expected = kind is expected or get_origin(kind) is expected
        if expected is dict and isinstance(kind, type) and issubclass(kind, records.Record):
            is_expected = True
        if is_expected and not isinstance(value, expected):
            raise _unreadable(f"should be a JSON {name}", content, status_code, request)
    return records.read(kind, value)


def _unreadable(how: str, content: bytes, status_code: int, request: Request) -> APIResponseValidationError:
    """Make the exception for an answer; one that echoes our request does not bring the key into it."""
    shown = redacted(content, secrets_in(request.headers))[:_SHOWN_BYTES]
    error = APIResponseValidationError(
        f"The answer to {request.what} {how}", status_code=status_code, body=shown.decode("utf-8", "replace")
    )
    return request.failed(error)
