"""The official client's README and examples with the import changed: they end as they do with the official client.

None of them is kept here; see tests/support/official_sdist.py. Each runs twice against the local server: as it is
published, and for ours. Both must end in the same way, and write the same audio.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.local import LocalServer

from ..support import official_sdist, rest_service

pytest.importorskip("cartesia")

ROOT = Path(__file__).resolve().parents[2]
BOUND = 120.0
pytestmark = pytest.mark.timeout(3 * BOUND)


class Row(NamedTuple):
    """One block or example.

    Attributes:
        before: What its reader has written above it.
        change: What stands for something in it: a path, an id, a word that is for asyncio.
        arguments: Of the example's command line; ``{clip}``, ``{voice}`` are made for it.
        path: Added to the service's address.
        left: Why it is not run.
        differs: How ours ends where that is not how the official client ends, and why.
    """

    before: str = ""
    change: Mapping[str, str] = {}  # never changed
    arguments: tuple[str, ...] = ()
    path: str = ""
    left: str = ""
    differs: tuple[str, str] = ("", "")


_CLIENT = "from cartesia import Cartesia\nclient = Cartesia()\n"
_PAGES = "from cartesia import Cartesia\nclient = Cartesia(default_query={'limit': 1})\n"
_ASYNC = "asyncio: this package is for threads"
_HTTPX = "an httpx client: http_client= is refused by a sentence that says what to use"

README: Mapping[str, Row] = {
    "Usage 1": Row(),
    "Streaming inputs with Websockets 1": Row(),
    "Async usage 1": Row(left=_ASYNC),
    "With aiohttp 1": Row(left=_ASYNC),
    "Pagination 1": Row(),
    "Pagination 2": Row(left=_ASYNC),
    "Pagination 3": Row(before=_PAGES, change={"await ": ""}),
    # As it stands it ends with an AttributeError: no page has starting_after.
    "Pagination 4": Row(before=_PAGES, change={"await ": "", "starting_after": "has_more"}),
    "Nested params 1": Row(),  # an AttributeError, with both: audio has no generation_config
    "File uploads 1": Row(change={'"/path/to/file"': '"{clip}"', '"id"': '"{dataset}"'}),
    "Handling errors 1": Row(path="/nowhere"),
    "Retries 1": Row(),
    "Timeouts 1": Row(before="import httpx\n"),
    "Default Headers 1": Row(),
    "How to tell whether `None` means `null` or missing 1": Row(
        before=f"{_CLIENT}response = client.voices.list().data[0]\n",
        change={"my_field": "preview_file_url"},
    ),
    # As it stands it ends with an AttributeError: what it calls a voice is a page of them.
    "Accessing raw response data (e.g. headers) 1": Row(change={"voice.id": "voice.data[0].id"}),
    "with_streaming_response 1": Row(before=_CLIENT),
    "Undocumented endpoints 1": Row(
        before=_CLIENT,
        change={'"/foo"': '"/access-token"'},
        differs=("TypeError", "cast_to=httpx.Response: refused by a sentence that says what to use"),
    ),
    "Configuring the HTTP client 1": Row(left=_HTTPX),
    "Configuring the HTTP client 2": Row(left=_HTTPX),
    "Managing HTTP resources 1": Row(),
    "Determining the installed version 1": Row(),
}
"""Every block of Python of the official README."""

EXAMPLES: Mapping[str, Row] = {
    "tts_generate_to_file": Row(),
    "tts_bytes_to_file": Row(),
    "tts_sse_basic": Row(),
    "tts_sse_with_timestamps": Row(),
    "tts_sse_with_phoneme_timestamps": Row(),
    "tts_sse_with_match": Row(),
    "tts_websocket_basic": Row(),
    "tts_websocket_continuations": Row(),
    "tts_websocket_flushing": Row(),
    "tts_websocket_emotion": Row(),
    "tts_websocket_speed": Row(),
    "tts_websocket_concurrent_receives": Row(),
    "tts_websocket_response_handling": Row(),
    "voices_list": Row(),
    "voices_get": Row(),
    "voices_clone": Row(arguments=("{clip}", "en", "A", "name")),
    "voices_update": Row(arguments=("{voice}", "Another", "name")),
    "voices_delete": Row(arguments=("{voice}",)),
    "infill_create": Row(arguments=("{clip}", "{clip}", "in", "between")),
    "stt_transcribe": Row(arguments=("{clip}", "en"), path="stt"),
    "stt_auto_finalize_websocket": Row(),
    "stt_manual_finalize_websocket": Row(),
    "error_handling_example": Row(),
}
"""Every example of the official ``examples.py``."""

ASYNC_EXAMPLES: Mapping[str, Row] = {
    "tts_generate_async": Row(left=_ASYNC),
    "tts_bytes_async": Row(left=_ASYNC),
    "tts_sse_basic_async": Row(left=_ASYNC),
    "tts_sse_with_timestamps_async": Row(left=_ASYNC),
    "tts_websocket_basic_async": Row(left=_ASYNC),
    "tts_websocket_continuations_async": Row(left=_ASYNC),
    "tts_websocket_flushing_async": Row(left=_ASYNC),
    "tts_websocket_emotion_async": Row(left=_ASYNC),
    "tts_websocket_speed_async": Row(left=_ASYNC),
    "tts_websocket_concurrent_receives_async": Row(left=_ASYNC),
    "tts_async_concurrent_contexts": Row(left=_ASYNC),
    "stt_transcribe_async": Row(left=_ASYNC),
    "stt_auto_finalize_websocket_async": Row(left=_ASYNC),
    "stt_manual_finalize_websocket_async": Row(left=_ASYNC),
    "infill_create_async": Row(left=_ASYNC),
}
"""Every example of the official ``async_examples.py``."""

TRANSCRIBED = {"text": "So so.", "language": "en", "duration": 1.0, "words": [{"word": "So", "start": 0, "end": 0.5}]}


def run_rows(rows: Mapping[str, Row]) -> list[str]:
    """Return the names of the rows that are run."""
    return [name for name, row in rows.items() if not row.left]


# ---- running them


class Ended(NamedTuple):
    """How one ended: with which exception or status, what it printed, and what it wrote, by name."""

    error: str | None
    output: str
    files: dict[str, bytes]


Outcomes = dict[str, Ended]


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[str, str]]:
    """The local server, and what answers a transcription."""
    stt = rest_service.Service()
    with LocalServer(engine="signal") as server, closing(stt):
        stt.will_answer(TRANSCRIBED)
        yield server.url, stt.url


@pytest.fixture(scope="module")
def readme(service: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcomes, Outcomes]:
    codes = {each.name: README[each.name].before + each.code for each in official_sdist.readme_blocks()}
    return outcomes(service, tmp_path_factory.mktemp("readme"), README, codes)


@pytest.fixture(scope="module")
def examples(
    service: tuple[str, str], source: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcomes, Outcomes]:
    return outcomes(service, tmp_path_factory.mktemp("examples"), EXAMPLES, dict.fromkeys(EXAMPLES, source))


@pytest.fixture(scope="module")
def source(pytestconfig: pytest.Config) -> str:
    return official_file("examples.py", pytestconfig)


def official_file(name: str, pytestconfig: pytest.Config) -> str:
    assert pytestconfig.cache is not None
    try:
        return official_sdist.examples(pytestconfig.cache.mkdir("official-sdist"), name)
    except official_sdist.NotToBeHad as reason:
        pytest.skip(str(reason))


def outcomes(
    service: tuple[str, str], folder: Path, rows: Mapping[str, Row], codes: Mapping[str, str]
) -> tuple[Outcomes, Outcomes]:
    """Run everything with the official client, and then with ours."""
    clip = folder / "clip.wav"
    with wave.open(str(clip), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    found = []
    for package in ("cartesia", "cartesia_sync"):
        items = []
        for number, (name, row) in enumerate(rows.items()):
            if row.left:
                continue
            place = folder / package / str(number)
            place.mkdir(parents=True)
            made = made_for_it(service[0], clip)
            if package == "cartesia":
                code = with_the_address_of_websockets(codes[name], service[0])
            else:
                code = official_sdist.with_the_import_changed(codes[name])
            for old, new in row.change.items():
                assert old in code, f"{name}: {old}"
                code = code.replace(old, filled(new, made))
            words = [name] if rows is EXAMPLES else []
            address = service[1] if row.path == "stt" else service[0] + row.path
            items.append(
                {
                    "name": name,
                    "code": code,
                    "folder": str(place),
                    "arguments": words + [filled(each, made) for each in row.arguments],
                    "environment": {"CARTESIA_BASE_URL": address},
                }
            )
        ended = run(items)
        found.append(
            {each["name"]: Ended(**ended[each["name"]], files=files_in(Path(each["folder"]))) for each in items}
        )
    return found[0], found[1]


def with_the_address_of_websockets(code: str, url: str) -> str:
    """Say it to the official client, which dials wss:// for http://; ours dials ws://."""
    return re.sub(r"= Cartesia\(", f'= Cartesia(websocket_base_url="{url.replace("http", "ws")}", ', code)


def made_for_it(url: str, clip: Path) -> dict[str, str]:
    with Cartesia(api_key="any", base_url=url) as client:
        voice = client.voices.clone(clip=clip, name="n", language="en").id
        return {"clip": str(clip), "voice": voice, "dataset": client.datasets.create(name="n", description="d").id}


def filled(text: str, made: Mapping[str, str]) -> str:
    for name, value in made.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def run(items: list[dict[str, Any]]) -> dict[str, Any]:
    # The official client does not read CARTESIA_API_KEY. The README's clients have none, so that it needs a header.
    headers = "Authorization: Bearer any"
    environment = {**os.environ, "CARTESIA_API_KEY": "any", "CARTESIA_CUSTOM_HEADERS": headers, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "support" / "run_examples.py")],
        input=json.dumps(items),
        capture_output=True,
        text=True,
        timeout=BOUND,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def files_in(folder: Path) -> dict[str, bytes]:
    """Return what was written, by name; without the time in a name and a WAV's header, whose lengths differ."""
    found = {}
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        audio = content.partition(b"data")[2][4:] if path.suffix == ".wav" else content
        found[re.sub(r"\d{8}_\d{6}", "TIME", path.name)] = audio
    return found


# ---- what is asked


def test_the_table_has_every_block_of_the_readme() -> None:
    assert sorted(README) == sorted(each.name for each in official_sdist.readme_blocks())


@pytest.mark.parametrize(("name", "rows"), [("examples.py", EXAMPLES), ("async_examples.py", ASYNC_EXAMPLES)])
def test_the_tables_have_every_example(name: str, rows: Mapping[str, Row], pytestconfig: pytest.Config) -> None:
    assert sorted(rows) == sorted(official_sdist.functions_of(official_file(name, pytestconfig)))


@pytest.mark.parametrize("name", run_rows(README))
def test_a_block_of_the_readme_ends_as_with_the_official_client(name: str, readme: tuple[Outcomes, Outcomes]) -> None:
    check(name, README[name], *readme)


@pytest.mark.parametrize("name", run_rows(EXAMPLES))
def test_an_example_ends_as_with_the_official_client(name: str, examples: tuple[Outcomes, Outcomes]) -> None:
    check(name, EXAMPLES[name], *examples)
    assert examples[0][name].error is None, examples[0][name].output


def check(name: str, row: Row, official: Outcomes, ours: Outcomes) -> None:
    how_it_ends = row.differs[0] or official[name].error
    assert ours[name].error == how_it_ends, ours[name].output
    if how_it_ends == official[name].error and how_it_ends is not None:
        assert ours[name].output.splitlines()[-1] == official[name].output.splitlines()[-1]
    assert ours[name].files.keys() == official[name].files.keys()
    for file, audio in official[name].files.items():
        assert ours[name].files[file] == audio, file
