"""miniaudio's null device, whose clock is real time, and the choice of devices."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import Cartesia, PlaybackError
from cartesia_sync.local import LocalServer
from cartesia_sync.speech import device as room
from cartesia_sync.speech.device import OutputDevice
from cartesia_sync.speech.player import Player
from cartesia_sync.types import RawOutputFormatParam

BOUND = 20.0
FORMAT: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}
ROOT = Path(__file__).resolve().parents[2]


def test_the_null_device_plays_in_real_time_and_each_rate_in_turn() -> None:
    with Player("null", buffer_seconds=0.03) as player:
        speeches = [
            player.play(bytes(2 * rate // 10), output_format={**FORMAT, "sample_rate": rate})
            for rate in (8000, 44100, 44100, 48000)
        ]
        assert [round(each.wait(BOUND).seconds, 3) for each in speeches] == [0.1] * 4
        assert not any(each.underruns for each in speeches)
    assert not room._open


def test_speech_of_the_local_server_is_played_while_it_arrives_and_barge_in_frees_the_connection() -> None:
    with LocalServer(pace=2) as server, Player("null") as player:
        client = Cartesia(api_key="any", base_url=server.url)
        with client.tts.websocket_connect() as connection:
            context = connection.context(
                model_id="sonic-latest",
                voice="6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
                output_format=FORMAT,
                add_timestamps=True,
            )
            speech = player.play(context)
            context.push("One two three four five six seven eight nine ten. " * 3, continue_=False)
            with pytest.raises(TimeoutError):
                speech.wait(1.5)
            heard = speech.stop()
            assert 0.2 < heard.seconds < 1.5
            assert heard.text is not None
            assert heard.text.startswith("One")
            assert all(each.end <= heard.seconds + 1e-6 for each in heard.words)
            assert speech.wait(BOUND) == heard


def test_a_device_that_was_started_again_and_again_holds_nothing() -> None:
    for _ in range(5):
        with Player("null", buffer_seconds=0.01) as player:
            player.play(bytes(100), output_format=FORMAT).wait(BOUND)
    assert not room._open


def test_what_the_device_says_about_its_end_reaches_those_who_wait() -> None:
    with Player("null") as player:
        speech = player.play(bytes(480000), output_format=FORMAT)
        assert speech._turn_is_over.wait(BOUND)
        (device,) = room._open
        device._device._stop_callback(None)  # as miniaudio does where a device was unplugged
        with pytest.raises(PlaybackError, match="the device has gone"):
            speech.wait(BOUND)


class Library:
    """miniaudio with these devices."""

    class MiniaudioError(Exception):
        pass

    def __init__(self, *names: str) -> None:
        self._names = names

    def Devices(self, backends: object) -> Any:  # noqa: N802  # miniaudio's name
        return self

    def get_playbacks(self) -> list[dict[str, Any]]:
        if not self._names:
            raise self.MiniaudioError("cannot get device infos", -1)
        return [{"name": name, "id": number} for number, name in enumerate(self._names)]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Any:
    def there_are(*names: str) -> None:
        monkeypatch.setattr(room, "miniaudio", lambda: Library(*names))
        monkeypatch.setattr(room, "_real_backends", lambda library: [])

    return there_are


def test_devices_are_listed_and_chosen_by_name_or_a_part_of_it(names: Any) -> None:
    names("Built-in Audio", "USB Headset", "USB Headset Pro")
    assert Player.devices() == [
        OutputDevice("Built-in Audio"),
        OutputDevice("USB Headset"),
        OutputDevice("USB Headset Pro"),
    ]
    assert room._named("USB Headset").id == 1
    assert room._named("built").id == 0
    words = "there are: 'Built-in Audio', 'USB Headset', 'USB Headset Pro'"
    with pytest.raises(PlaybackError, match=f"more than one device is called 'usb'; {words}"):
        room._named("usb")
    with pytest.raises(PlaybackError, match=f"no device is called 'radio'; {words}"):
        room._named("radio")


def test_a_system_that_cannot_list_them_says_so(names: Any) -> None:
    names()
    with pytest.raises(PlaybackError, match="the devices cannot be listed: cannot get device infos -1"):
        Player.devices()


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "miniaudio", None)
    for call in (Player, Player.devices):
        with pytest.raises(ImportError, match=r"pip install 'cartesia-sync\[play\]'"):
            call()
    Player(lambda rate: None).close()  # type: ignore[arg-type, return-value]  # a device of one's own needs none


AT_EXIT = """
import os, sys, threading
from cartesia_sync import Player
player = Player("null")
speech = player.play(bytes(960000), output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000})
try:
    speech.wait(0.2)
except TimeoutError:
    pass
if "fork" in sys.argv:
    child = os.fork()
    if not child:
        sys.exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    speech.stop()
"""


@pytest.mark.parametrize("arguments", [[], ["fork"]])
def test_a_process_ends_in_the_midst_of_a_speech_and_so_does_its_child(arguments: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AT_EXIT, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BOUND,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == ("7\n" if arguments else "")


def test_the_library_is_loaded_when_it_is_needed() -> None:
    code = "import sys, cartesia_sync; cartesia_sync.Player; assert 'miniaudio' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_no_thread_is_left() -> None:
    assert not [each.name for each in threading.enumerate() if each.name.startswith("cartesia-sync-player")]
