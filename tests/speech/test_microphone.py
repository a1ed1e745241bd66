"""A microphone: miniaudio's null device, which gives silence in real time, and a device whose thread is the test."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from cartesia_sync import Microphone, MicrophoneError
from cartesia_sync.speech import microphone as module

miniaudio = pytest.importorskip("miniaudio")

BOUND = 20.0


def test_the_null_device_gives_silence_in_tenths_of_a_second() -> None:
    with Microphone("null") as microphone:
        pieces = [next(microphone) for _ in range(3)]
    assert pieces == [bytes(3200)] * 3


def test_closing_ends_whoever_iterates_and_a_closed_one_is_refused() -> None:
    microphone = Microphone("null", sample_rate=8000)
    heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: [heard.put(piece) for piece in microphone])
    thread.start()
    assert heard.get(timeout=BOUND) == bytes(1600)
    microphone.close()
    microphone.close()
    thread.join(BOUND)
    assert not thread.is_alive()
    assert list(microphone_end(microphone)) == []
    with pytest.raises(MicrophoneError, match="was closed"):
        iter(microphone)
    assert repr(microphone) == "<Microphone 8000 Hz closed>"
    assert not module._open


def microphone_end(microphone: Microphone) -> Iterator[bytes]:
    """Give what is left; the last of it is the end, which stays."""
    try:
        while True:
            yield next(microphone)
    except StopIteration:
        return


class Device:
    """What miniaudio opens, with a thread that is the test's."""

    made: ClassVar[list[Device]] = []

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.stop_callback: Any = None
        self.is_closed = False
        self.made.append(self)

    def start(self, recording: Any) -> None:
        self.hear = recording.send

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Device]]:
    library = SimpleNamespace(
        Backend=miniaudio.Backend,
        SampleFormat=miniaudio.SampleFormat,
        MiniaudioError=miniaudio.MiniaudioError,
        CaptureDevice=Device,
        Devices=lambda backends: SimpleNamespace(
            get_captures=lambda: [{"name": "Desk", "id": 1}, {"name": "Headset", "id": 2}, {"name": "Head", "id": 3}]
        ),
    )
    monkeypatch.setattr(module, "_miniaudio", lambda: library)
    monkeypatch.setattr(Device, "made", [])
    yield Device.made
    module._open.clear()


def test_what_the_device_hears_is_cut_and_what_nobody_takes_is_dropped(devices: list[Device]) -> None:
    microphone = Microphone(sample_rate=10)
    iter(microphone)
    for number in range(module._MOST_PIECES + 3):
        devices[0].hear(bytearray([number]))  # half a piece
        devices[0].hear(bytearray([number]))
    assert microphone.dropped == 3
    assert [next(microphone) for _ in range(2)] == [bytes([3, 3]), bytes([4, 4])]
    microphone.close()
    assert devices[0].is_closed


def test_a_device_is_closed_once_by_whoever_is_first(devices: list[Device], monkeypatch: pytest.MonkeyPatch) -> None:
    """Miniaudio's own close, called by two threads at once, never returned."""
    closed: list[int] = []
    is_closing, go_on = threading.Event(), threading.Event()

    def close(device: Device) -> None:
        closed.append(1)
        is_closing.set()
        assert go_on.wait(BOUND)

    monkeypatch.setattr(Device, "close", close)
    microphone = Microphone()
    iter(microphone)
    thread = threading.Thread(target=microphone.close)
    thread.start()
    assert is_closing.wait(BOUND)
    microphone.close()
    go_on.set()
    thread.join(BOUND)
    assert closed == [1]


def test_a_device_that_goes_is_an_error_after_what_was_heard(devices: list[Device]) -> None:
    microphone = Microphone(sample_rate=10)
    iter(microphone)
    devices[0].hear(bytearray(2))
    devices[0].stop_callback()
    assert next(microphone) == bytes(2)
    for _ in range(2):
        with pytest.raises(MicrophoneError, match="has gone"):
            next(microphone)
    microphone.close()


def test_a_device_that_gives_nothing_has_a_bound(devices: list[Device], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_DEVICE_SECONDS", 0.01)
    with Microphone() as microphone, pytest.raises(MicrophoneError, match=r"given nothing for 0\.01 s"):
        next(microphone)


def test_a_device_is_chosen_by_its_name_or_a_part_of_it(devices: list[Device]) -> None:
    for name, chosen in (("desk", 1), ("Head", 3), ("headset", 2), (None, None)):
        Microphone(name).close()
        assert devices[-1].options["device_id"] == chosen
        assert miniaudio.Backend.NULL not in devices[-1].options["backends"]
    with pytest.raises(MicrophoneError, match="more than one microphone is called 'e'; there are: 'Desk', 'Headset'"):
        Microphone("e")
    with pytest.raises(MicrophoneError, match="no microphone is called 'x'"):
        Microphone("x")
    assert Microphone.devices() == ["Desk", "Headset", "Head"]


def test_what_cannot_be_opened_or_started_says_so(devices: list[Device], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise miniaudio.MiniaudioError("no such thing", -1)

    monkeypatch.setattr(Device, "start", fail)
    with pytest.raises(MicrophoneError, match="cannot be started"):
        iter(Microphone())
    assert devices[0].is_closed
    monkeypatch.setattr(Device, "__init__", fail)
    with pytest.raises(MicrophoneError, match=r"no microphone can be opened \(no such thing -1\)"):
        Microphone()
    with pytest.raises(ValueError, match="sample_rate"):
        Microphone(sample_rate=0)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "miniaudio", None)
    with pytest.raises(ImportError, match=r"cartesia-sync\[play\]"):
        Microphone()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_leaves_the_device_to_its_parent() -> None:
    with Microphone("null") as microphone:
        next(microphone)
        child = os.fork()
        if child == 0:
            microphone.close()  # would wait for a thread that is not there
            os._exit(0 if not module._open else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert next(microphone) == bytes(3200)
