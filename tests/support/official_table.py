"""What the official client can do, which of it is compared with ours on the wire, and what is left, and why.

The table below names an endpoint for each method; the arguments of the calls are made from the official method's own
annotations, so that a parameter which is added there is tried here. Run as a program, it prints the table as Markdown.
"""

from __future__ import annotations

import collections.abc
import datetime
import inspect
import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, NamedTuple, Union, get_args, get_origin

import cartesia
from cartesia._resource import SyncAPIResource
from typing_extensions import Literal, NotRequired, Required, get_type_hints, is_typeddict

BINARY = bytes(range(256)) + b"\r\n--\r\n"
"""What files hold: every byte, and what looks like the end of a form's part."""


@dataclass(frozen=True)
class Row:
    """A method that is called with the same arguments in both clients.

    Attributes:
        endpoint: What both ask for, as HTTP names it.
        more: Arguments by the name of the call, for what the annotations do not say; they join the required ones.
        apart: Parameters of which one call has at most one.
        accept: What we ask for where the official client asks for something else.
        note: Why anything differs.
    """

    endpoint: str
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    apart: tuple[str, ...] = ()
    accept: str = ""
    note: str = ""


class File(NamedTuple):
    """A file to send, made anew for each client: a file object can be read once.

    Attributes:
        what: For the reader.
        make: Gives it; called with a folder, and what closes files after the call.
    """

    what: str
    make: Callable[[Path, ExitStack], Any]

    def __repr__(self) -> str:
        return self.what


def _path(folder: Path, _: ExitStack) -> Path:
    path = folder / "from a path.wav"
    path.write_bytes(BINARY)
    return path


def _open(folder: Path, stack: ExitStack) -> Any:
    return stack.enter_context(open(_path(folder, stack), "rb"))


FILES = (
    File("bytes", lambda *_: BINARY),
    File("a path", _path),
    File("a file object", _open),
    File("a file object without a name", lambda *_: io.BytesIO(BINARY)),
    File("(name, bytes)", lambda *_: ("named.flac", BINARY)),
    File("(name that needs quoting, bytes)", lambda *_: ('Süß "und" salzig.wav', BINARY)),
    File("(name, bytes, type)", lambda *_: ("named.bin", BINARY, "audio/x-own")),
    File("(name, file object)", lambda folder, stack: ("named.mp3", _open(folder, stack))),
    File("(name without a known type, bytes)", lambda *_: ("named", BINARY)),
)

_SPEECH: Mapping[str, Mapping[str, Any]] = {
    "another version's voice": {"voice": {"id": "a voice", "mode": "id"}},
    "text of all kinds": {"transcript": 'Größe: "5 €"\n\u2028<break time="1s"/>\U0001f600'},
}
_LANGUAGES = ("language", "locale")
_SPOKEN_NOTE = "language and locale exclude each other, as the service says; ours says so before sending"
_VERSION_NOTE = "a voice with a mode goes out without it, as the version in use has it"

TABLE: Mapping[str, Row] = {
    "get_status": Row("GET /"),
    # ---- speech
    "tts.generate": Row("POST /tts/bytes", more=_SPEECH, apart=_LANGUAGES, note=f"{_SPOKEN_NOTE}; {_VERSION_NOTE}"),
    "tts.bytes": Row("POST /tts/bytes", note="the old name of generate; its duration is sent by ours only"),
    "tts.generate_sse": Row("POST /tts/sse", more=_SPEECH, apart=_LANGUAGES, note=_SPOKEN_NOTE),
    "tts.sse": Row("POST /tts/sse", apart=_LANGUAGES, note="the old name of generate_sse"),
    "tts.infill": Row("POST /infill/bytes"),
    "voice_changer.generate": Row("POST /voice-changer/bytes"),
    "voice_changer.change_voice_bytes": Row("POST /voice-changer/bytes", note="the old name of generate"),
    "voice_changer.generate_sse": Row("POST /voice-changer/sse"),
    "voice_changer.change_voice_sse": Row(
        "POST /voice-changer/sse",
        accept="text/event-stream",
        note="ours gives the events, as generate_sse does; the official client gives None, and asks for */*",
    ),
    "stt.transcribe": Row("POST /stt"),
    # ---- voices
    "voices.list": Row("GET /voices"),
    "voices.get": Row("GET /voices/{id}", more={"an id that needs quoting": {"id": "a/b?c#d%20é"}}),
    "voices.update": Row("PATCH /voices/{id}"),
    "voices.delete": Row("DELETE /voices/{id}"),
    "voices.clone": Row("POST /voices/clone"),
    "voices.localize": Row("POST /voices/localize"),
    "voices.list_accents": Row("GET /accents"),
    "voices.add_accents": Row("PATCH /voices/{id}/accents"),
    "voices.delete_accent": Row("DELETE /voices/{id}/accents/{accent_id}"),
    # ---- pronunciation dictionaries
    "pronunciation_dicts.list": Row("GET /pronunciation-dicts/"),
    "pronunciation_dicts.create": Row("POST /pronunciation-dicts/"),
    "pronunciation_dicts.retrieve": Row("GET /pronunciation-dicts/{id}"),
    "pronunciation_dicts.update": Row("PATCH /pronunciation-dicts/{id}"),
    "pronunciation_dicts.delete": Row("DELETE /pronunciation-dicts/{id}"),
    # ---- access
    "access_token.create": Row("POST /access-token"),
    # ---- datasets and models
    "datasets.list": Row("GET /datasets/"),
    "datasets.create": Row("POST /datasets/"),
    "datasets.retrieve": Row("GET /datasets/{id}"),
    "datasets.update": Row("PATCH /datasets/{id}"),
    "datasets.delete": Row("DELETE /datasets/{id}"),
    "datasets.files.list": Row("GET /datasets/{id}/files"),
    "datasets.files.upload": Row("POST /datasets/{id}/files"),
    "datasets.files.delete": Row("DELETE /datasets/{id}/files/{file_id}"),
    "fine_tunes.list": Row("GET /fine-tunes/"),
    "fine_tunes.create": Row("POST /fine-tunes/"),
    "fine_tunes.retrieve": Row("GET /fine-tunes/{id}"),
    "fine_tunes.delete": Row("DELETE /fine-tunes/{id}"),
    "fine_tunes.list_voices": Row("GET /fine-tunes/{id}/voices"),
    # ---- agents
    "agents.list": Row("GET /agents"),
    "agents.retrieve": Row("GET /agents/{agent_id}"),
    "agents.update": Row("PATCH /agents/{agent_id}"),
    "agents.delete": Row("DELETE /agents/{agent_id}"),
    "agents.list_phone_numbers": Row("GET /agents/{agent_id}/phone-numbers"),
    "agents.list_templates": Row("GET /agents/templates"),
    "agents.calls.list": Row("GET /agents/calls"),
    "agents.calls.retrieve": Row("GET /agents/calls/{call_id}"),
    "agents.calls.download_audio": Row(
        "GET /agents/calls/{call_id}/audio", note="ours gives the audio; the official client reads it and gives None"
    ),
    "agents.deployments.list": Row("GET /agents/{agent_id}/deployments"),
    "agents.deployments.retrieve": Row("GET /agents/deployments/{deployment_id}"),
    "agents.metrics.list": Row("GET /agents/metrics"),
    "agents.metrics.create": Row("POST /agents/metrics"),
    "agents.metrics.retrieve": Row("GET /agents/metrics/{metric_id}"),
    "agents.metrics.add_to_agent": Row("POST /agents/{agent_id}/metrics/{metric_id}"),
    "agents.metrics.remove_from_agent": Row("DELETE /agents/{agent_id}/metrics/{metric_id}"),
    "agents.metrics.results.list": Row("GET /agents/metrics/results"),
    "agents.metrics.results.export": Row("GET /agents/metrics/results/export"),
}
"""Each is called with every set of arguments that ``calls_of`` gives."""

TESTED_BY_HAND: Mapping[str, str] = {
    "get": "any path",
    "post": "any path",
    "put": "any path",
    "patch": "any path",
    "delete": "any path",
    "copy": "settings that the next call shows",
    "with_options": "settings that the next call shows",
    "close": "a closed client refuses",
    "is_closed": "a closed client refuses",
    "get_api_list": "any path, by our own types",
    "tts.websocket_connect": "handshake; the messages in test_official_peer",
    "tts.websocket": "handshake; the messages in test_official_peer",
    "stt.auto_finalize.websocket": "handshake and messages in test_official_listening",
    "stt.manual_finalize.websocket": "handshake and messages in test_official_listening",
}
"""What is no endpoint; it has tests of its own."""

LEFT: Mapping[str, str] = {
    "request": "takes the official client's own FinalRequestOptions and httpx types; ours takes a method and a path",
    "platform_headers": "telemetry (X-Stainless-*), which ours does not send",
}
"""Methods of the official client that are not compared."""

PARAMETERS_LEFT: Mapping[str, str] = {
    "content": "raw bytes as a body of post, put and patch; no endpoint takes them",
    "stream": "ours gives streams by the methods that stream",
    "stream_cls": "the official client's own classes",
    "http_client": "an httpx client; ours has requests inside",
    "_extra_kwargs": "private",
}
"""Parameters of the official client's methods that ours do not take."""


# ---- what there is


def official_methods(client: Any = None, prefix: str = "") -> Iterator[str]:
    """Name every public method of a client and of all its resources, as a user writes them."""
    owner = cartesia.Cartesia(api_key="any") if client is None else client
    for name in sorted(set(dir(type(owner)))):
        if name.startswith("_") or name.startswith("with_raw_") or name.startswith("with_streaming_"):
            continue  # forms of all methods, which give httpx's answer
        value = getattr(owner, name)
        if isinstance(value, SyncAPIResource):
            yield from official_methods(value, f"{prefix}{name}.")
        elif callable(value):
            yield f"{prefix}{name}"
    if client is None:
        owner.close()


def method_of(client: Any, name: str) -> Callable[..., Any]:
    """Return a method by its dotted name."""
    found = client
    for part in name.split("."):
        found = getattr(found, part)
    method: Callable[..., Any] = found
    return method


# ---- what it is called with

OPTIONS = ("extra_headers", "extra_query", "extra_body", "timeout")
_NOTHING = inspect.Parameter.empty


class Arguments(NamedTuple):
    """One call's: those that are given by position, and those that are given by name."""

    by_position: tuple[Any, ...]
    by_name: Mapping[str, Any]

    def made(self, folder: Path, stack: ExitStack) -> Arguments:
        """Return them with their files."""
        return Arguments(
            tuple(each for each in self.by_position),
            {name: each.make(folder, stack) if isinstance(each, File) else each for name, each in self.by_name.items()},
        )


def parameters_of(method: Callable[..., Any]) -> dict[str, tuple[inspect.Parameter, Any]]:
    """Return an official method's own parameters, each with the type that its annotation says.

    An annotation may end with what stands for "not given"; and Python 3.9 cannot evaluate its bars.
    """
    module = vars(sys.modules[getattr(method, "__module__", "")])
    found = {}
    for name, each in inspect.signature(method).parameters.items():
        if name not in OPTIONS:
            kinds = [eval(part, module) for part in each.annotation.split(" | ") if part != "Omit"]
            found[name] = each, Union[tuple(kinds)]
    return found


def answer_type_of(method: Callable[..., Any]) -> Any:
    """Return what an official method says that it returns."""
    return eval(inspect.signature(method).return_annotation, vars(sys.modules[method.__module__]))


def calls_of(name: str, method: Callable[..., Any]) -> Iterator[tuple[str, Arguments]]:
    """Return every call of a method that is tried, each with a name for it."""
    row, parameters = TABLE[name], parameters_of(method)
    values = {parameter: list(samples(kind, parameter)) for parameter, (_, kind) in parameters.items()}
    needed = {
        parameter: values[parameter][0] for parameter, (each, _) in parameters.items() if each.default is _NOTHING
    }
    places = [name for name, (each, _) in parameters.items() if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]

    def call(what: str, given: Mapping[str, Any]) -> tuple[str, Arguments]:
        by_position = tuple(given[place] for place in places)
        return what, Arguments(by_position, {name: each for name, each in given.items() if name not in places})

    yield call("only what is required", needed)
    optional = [parameter for parameter in parameters if parameter not in needed]
    widest = max([len(each) for each in values.values()] + [0])
    for turn in range(max(widest, len(row.apart)) if optional or widest > 1 else 0):
        left = [each for each in row.apart if each in parameters and each != row.apart[turn % len(row.apart)]]
        every = {each: values[each][turn % len(values[each])] for each in parameters if each not in left}
        yield call(f"everything, in turn {turn + 1}", every)
    nullable = {parameter: None for parameter in optional if takes_none(parameters[parameter][1])}
    if nullable:
        yield call("None for all that may be None", {**needed, **nullable})
    for option, value in {
        # Spelled as the official client spells them: in another case it sends its own too.
        "extra_headers": {"X-Own": "own", "Accept": "x/y", "cartesia-version": "2027-01-01"},
        "extra_query": {"own": "a b&c", "list": ["1", "2"], "nested": {"key": True}, "limit": 3},
        "extra_body": {"own": "a b&c", "name": "of extra_body", "nested": {"key": [1, 2]}},
        "timeout": 7.5,
    }.items():
        yield call(option, {**needed, option: value})
    for what, more in row.more.items():
        yield call(what, {**needed, **more})


def takes_none(kind: Any) -> bool:
    """Whether a type has None among its values."""
    return get_origin(kind) is Union and type(None) in get_args(kind)


def samples(kind: Any, name: str) -> Iterator[Any]:
    """Return a value of each form that a type allows, None left out."""
    origin = get_origin(kind)
    if kind == cartesia._types.FileTypes:
        yield from FILES
    elif origin is Union:
        for each in get_args(kind):
            if each is not type(None):
                yield from samples(each, name)
    elif origin is Literal:
        yield from {get_args(kind)[0]: None, get_args(kind)[-1]: None}
    elif is_typeddict(kind):
        yield from _mappings(kind)
    elif origin in (list, collections.abc.Iterable, collections.abc.Sequence):
        items = list(samples(get_args(kind)[0], name))
        yield items * 2 if len(items) == 1 else items
        yield items[:1]
    else:
        yield from _PLAIN[kind](name)


def _mappings(kind: Any) -> Iterator[dict[str, Any]]:
    hints = get_type_hints(kind)
    values = {key: list(samples(each, key)) for key, each in hints.items()}
    for turn in range(max(len(each) for each in values.values())):
        yield {key: each[turn % len(each)] for key, each in values.items()}
    needed = [key for key, each in get_type_hints(kind, include_extras=True).items() if _is_needed(kind, each)]
    if needed != list(hints):
        yield {key: values[key][0] for key in needed}


def _is_needed(kind: Any, hint: Any) -> bool:
    # Not by __required_keys__: those are wrong where annotations are texts.
    return get_origin(hint) is Required or (kind.__total__ and get_origin(hint) is not NotRequired)


_PLAIN: Mapping[Any, Callable[[str], list[Any]]] = {
    str: lambda name: [f"some {name} & more"],
    int: lambda name: [7],
    float: lambda name: [0.25, 2],
    bool: lambda name: [True, False],
    datetime.datetime: lambda name: [
        datetime.datetime(2026, 8, 14, 12, 30, 45, 123456, datetime.timezone.utc),
        datetime.datetime(2026, 8, 14, 12, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        datetime.datetime(2026, 8, 14, 12, 30),
    ],
}


# ---- as Markdown


def as_markdown() -> Iterator[str]:
    """Return the lines of the closing note's table."""
    with cartesia.Cartesia(api_key="any") as official:
        yield "| Method of the official client | Endpoint | Calls compared | Remarks |"
        yield "|---|---|---|---|"
        for name, row in TABLE.items():
            calls = sum(1 for _ in calls_of(name, method_of(official, name)))
            yield f"| `{name}` | `{row.endpoint}` | {calls} | {row.note or 'equal'} |"
        for name, what in TESTED_BY_HAND.items():
            yield f"| `{name}` | | by hand | {what} |"
        for name, why in LEFT.items():
            yield f"| `{name}` | | left | {why} |"
    yield ""
    yield (
        f"{len(TABLE) + len(TESTED_BY_HAND) + len(LEFT)} methods: {len(TABLE)} compared call by call, "
        f"{len(TESTED_BY_HAND)} by tests of their own, {len(LEFT)} left."
    )


if __name__ == "__main__":
    print("\n".join(as_markdown()))
