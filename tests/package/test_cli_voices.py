"""``cartesia-sync voices``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.cli import voices
from cartesia_sync.local import LocalServer
from cartesia_sync.types import Voice

from ..support.command import Command, runner


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture(scope="module")
def catalogue() -> list[Voice]:
    with LocalServer() as server, Cartesia(api_key="x", base_url=server.url) as client:
        return list(client.voices.list())


def test_each_voice_has_a_line_with_id_language_and_name(run: Command, catalogue: list[Voice]) -> None:
    status, out, err = run("voices", "--local")
    assert (status, err) == (0, "")
    lines = [line.split(None, 2) for line in out.splitlines()]
    assert lines == [[voice.id, voice.language, voice.name] for voice in catalogue]
    assert len(lines) > 1


@pytest.mark.parametrize("language", ["en", "EN", "en-US", "en_us", "de"])
def test_a_language_leaves_its_voices(run: Command, catalogue: list[Voice], language: str) -> None:
    status, out, _ = run("voices", "--local", "--language", language)
    assert status == 0
    found = {line.split()[0] for line in out.splitlines()}
    assert found < {voice.id for voice in catalogue}
    assert {voice.language for voice in catalogue if voice.id in found} == {language[:2].lower()}


def voice(language: str, *locales: str) -> Any:
    from cartesia_sync.protocol.models.base import read

    fields = {"locales": [{"locale": each, "is_native": True} for each in locales]} if locales else {}
    return read(Voice, {"id": "1", "name": "A", "language": language, **fields})


@pytest.mark.parametrize(
    ("asked", "spoken", "expected"),
    [
        ("en", voice("en"), True),
        ("en-GB", voice("en"), False),
        ("en-GB", voice("en", "en-US", "en-GB"), True),
        ("en", voice("de", "de-DE", "en-GB"), True),
        ("en", voice("de", "de-DE"), False),
        ("e", voice("en", "en-GB"), False),
    ],
)
def test_a_voice_speaks_its_language_and_its_locales(asked: str, spoken: Voice, expected: bool) -> None:
    assert voices._speaks(spoken, asked) is expected


def test_json_holds_all_that_the_service_says(run: Command, catalogue: list[Voice]) -> None:
    status, out, err = run("voices", "--local", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert [each["id"] for each in found] == [each.id for each in catalogue]
    assert found[0].keys() == catalogue[0].to_dict().keys()
    assert found[0]["created_at"] == catalogue[0].created_at.isoformat()


def test_a_language_that_no_voice_speaks_is_a_failure_but_an_empty_array(run: Command) -> None:
    assert run("voices", "--local", "--language", "xx") == (1, "", "cartesia-sync: no voice speaks xx\n")
    assert run("voices", "--local", "--language", "xx", "--json") == (0, "[]\n", "")


def test_a_name_cannot_move_the_cursor() -> None:
    assert voices._in_one_line("a\n\x1b[2Jb") == "a  [2Jb"
