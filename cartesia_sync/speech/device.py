"""Where sound comes out: miniaudio's devices, and what else takes samples; the only file that imports miniaudio."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Protocol, Union

from ..errors import PlaybackError
from ..extras import missing

Fill = Callable[[int], bytes]
"""Called by a device, in a thread of its own, with how many frames it wants; gives as many, 32-bit floats of this
machine's byte order, one channel. Never waits and never raises."""

NULL = "null"
"""The name of the device that takes audio in real time, and plays it nowhere; for tests, and machines without sound."""

PERIODS = 3
_MEASURED_SECONDS = 1.0
"""For how long after its start a device is watched for how far it asks ahead; later the clocks have drifted apart."""
_LONGEST_BUFFER_SECONDS = 2.0


class Device(Protocol):
    """What a player plays on, at one sample rate.

    Attributes:
        buffer_frames: How many frames it has taken at most and not played yet, when it has just got what it asked for.
    """

    buffer_frames: int

    def start(self, fill: Fill, lost: Callable[[], None]) -> None:
        """Ask for audio from now on, until ``close()``.

        Args:
            fill: Gives audio.
            lost: To be called once if the device has gone. Never waits.

        Raises:
            PlaybackError: It cannot be started.
        """

    def close(self) -> None:
        """Ask no more, and give the device back. Idempotent. May wait for ``fill``."""


@dataclass(frozen=True)
class OutputDevice:
    """A device of this machine, as ``Player.devices()`` lists it.

    Attributes:
        name: As the system calls it.
    """

    name: str
    id: Any = field(compare=False, repr=False, default=None)


OpenDevice = Callable[[int], Device]
"""Opens a device for a sample rate in Hz."""


def miniaudio() -> Any:
    """Import it; an ImportError names the extra."""
    try:
        import miniaudio as library
    except ImportError as error:
        raise missing("play", "playing needs miniaudio", cause=error) from error
    return library


def devices() -> list[OutputDevice]:
    """Return the devices of this machine that play sound. Waits for the system, some milliseconds.

    Raises:
        ImportError: The extra ``play`` is not installed.
        PlaybackError: The system cannot say.
    """
    library = miniaudio()
    try:
        found = library.Devices(_real_backends(library)).get_playbacks()
    except library.MiniaudioError as error:
        raise PlaybackError(f"the devices cannot be listed: {_words_of(error)}") from error
    return [OutputDevice(each["name"], each["id"]) for each in found]


def opener(chosen: Union[str, OutputDevice, None], buffer_seconds: float) -> OpenDevice:
    """Return what opens the chosen device.

    Args:
        chosen: A name, or a part of one that no other has, in any case of letters; ``"null"``; None: the default one.
        buffer_seconds: How much it is to hold.
    """
    library = miniaudio()

    def open_device(sample_rate: int) -> Device:
        device_id = None
        backends = _real_backends(library)
        if chosen == NULL:
            backends = [library.Backend.NULL]
        elif chosen is not None:
            device_id = (chosen if isinstance(chosen, OutputDevice) else _named(chosen)).id
        return _MiniaudioDevice(library, sample_rate, backends, device_id, buffer_seconds)

    return open_device


def _named(name: str) -> OutputDevice:
    there = devices()
    exact = [each for each in there if each.name == name]
    found = exact or [each for each in there if name.casefold() in each.name.casefold()]
    if len(found) == 1 or exact:
        return found[0]
    names = ", ".join(repr(each.name) for each in there) or "none"
    raise PlaybackError(f"{'no' if not found else 'more than one'} device is called {name!r}; there are: {names}")


def _real_backends(library: Any) -> list[Any]:
    """Return all but the one that plays nowhere: without a device that is an error, and not silence."""
    return [each for each in library.Backend if each is not library.Backend.NULL]


def _words_of(error: Exception) -> str:
    return " ".join(map(str, error.args))


_open: set[_MiniaudioDevice] = set()
"""A device that is open is held by nobody else: the collector, which may run in the device's own thread, would have
to wait for that thread."""


class _MiniaudioDevice:
    """A device of this machine, or miniaudio's null device."""

    def __init__(self, library: Any, sample_rate: int, backends: list[Any], device_id: Any, seconds: float) -> None:
        self._rate = sample_rate
        self.buffer_frames = max(PERIODS, round(seconds * sample_rate))
        self._asked = 0
        self._started_at = 0.0
        self._fill: Fill
        self._error: type[Exception] = library.MiniaudioError
        try:
            self._device: Any = library.PlaybackDevice(
                output_format=library.SampleFormat.FLOAT32,
                nchannels=1,
                sample_rate=sample_rate,
                buffersize_msec=max(1, round(1000 * seconds / PERIODS)),  # of one period, in truth
                callback_periods=PERIODS,
                device_id=device_id,
                backends=backends,
                app_name="cartesia-sync",
            )
        except self._error as error:
            raise PlaybackError(
                f"no device to play on can be opened ({_words_of(error)}); Player.devices() lists those that are there"
            ) from error

    def start(self, fill: Fill, lost: Callable[[], None]) -> None:
        self._fill = fill
        asking = self._asking()
        next(asking)
        self._device.stop_callback = lost
        _open.add(self)
        self._started_at = time.monotonic()
        try:
            self._device.start(asking)
        except self._error as error:
            self.close()
            raise PlaybackError(f"the device cannot be started ({_words_of(error)})") from error

    def _asking(self) -> Any:
        """Give audio whenever the device asks. Threads: the device's."""
        frames = yield b""
        while True:
            self._asked += frames
            seconds = time.monotonic() - self._started_at
            if seconds < _MEASURED_SECONDS:  # what it asks ahead of the time that has passed is what its buffer holds
                ahead = self._asked - int(seconds * self._rate)
                self.buffer_frames = min(max(self.buffer_frames, ahead), int(_LONGEST_BUFFER_SECONDS * self._rate))
            frames = yield self._fill(frames)

    def close(self) -> None:
        self._device.stop_callback = None
        self._device.close()
        _open.discard(self)

    def leave_to_parent(self) -> None:
        """Forget a device in a forked child: its thread is the parent's, and to wait for that had no end."""
        self._device.running, self._device.callback_generator, self._device.stop_callback = False, None, None
        self._device._device = None


def _forget_in_child() -> None:
    for device in tuple(_open):
        device.leave_to_parent()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
