"""A microphone of this machine as a source of audio; it loads miniaudio, of the extra ``play``, when one is opened."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from typing import Any, Optional

from ..closing import Closing
from ..errors import MicrophoneError
from ..protocol.timeouts import checked_size

NULL = "null"
"""The name of the device that gives silence in real time; for tests, and machines without sound."""

PIECE_SECONDS = 0.1
SILENT_DEVICE_SECONDS = 5.0
"""A device that gives nothing at all for so long has gone, whatever it says: a silent room gives silence."""

_MOST_PIECES = 50
"""Of those that nobody took; older ones are dropped, so that nobody hears what was said long ago."""
_PERIODS = 3
_open: set[Any] = set()
"""A device that is open is held here: the collector, which may run in the device's own thread, would have to wait for
that thread."""


class Microphone(Closing):
    """What a microphone hears, as an iterable of bytes: 16-bit samples of one channel, a tenth of a second at a time.

    It records from the first ``iter()`` to ``close()``, which also ends the iteration. What nobody takes for five
    seconds is dropped, oldest first. ``Session.feed(microphone)`` sends it as it comes::

        with Microphone() as microphone, client.stt.auto_finalize.websocket(...) as session, session.feed(microphone):
            for turn in session.turns():
                print(turn.text)

    Args:
        device: A name, or a part of one that no other has, in any case of letters; ``"null"``, which gives silence;
            None for the system's own.
        sample_rate: In Hz; 16000 is what the service advises.

    Raises:
        ImportError: The extra ``play`` is not installed.
        MicrophoneError: There is no such device, or it cannot be opened.
        ValueError: The sample rate is none.

    Threads: any; one at a time iterates. Opening waits for the system, some milliseconds.

    Attributes:
        sample_rate: In Hz.
        encoding: ``pcm_s16le``.
        dropped: How many pieces nobody took in time.
    """

    encoding = "pcm_s16le"
    is_live = True
    """What comes while a feed is paused is not sent later."""

    def __init__(self, device: Optional[str] = None, *, sample_rate: int = 16000) -> None:
        self.sample_rate = checked_size("sample_rate", sample_rate)
        self.dropped = 0
        self._pieces: queue.SimpleQueue[Optional[bytes]] = queue.SimpleQueue()  # None is the end
        self._has_started = self._is_closed = self._is_lost = False
        self._library = _miniaudio()
        self._device = self._opened(device)
        self._to_close = [self._device]  # whoever takes it out closes it: two at once would wait for each other

    def __repr__(self) -> str:
        return f"<Microphone {self.sample_rate} Hz {'closed' if self._is_closed else 'open'}>"

    @staticmethod
    def devices() -> list[str]:
        """Return the names of the devices of this machine that record. Waits for the system, some milliseconds.

        Raises:
            ImportError: The extra ``play`` is not installed.
            MicrophoneError: The system cannot say.
        """
        return [each["name"] for each in _captures(_miniaudio())]

    def _opened(self, name: Optional[str]) -> Any:
        library, device_id = self._library, None
        backends = [each for each in library.Backend if (each is library.Backend.NULL) == (name == NULL)]
        if name is not None and name != NULL:
            device_id = _found(library, name)
        try:
            return library.CaptureDevice(
                input_format=library.SampleFormat.SIGNED16,
                nchannels=1,
                sample_rate=self.sample_rate,
                buffersize_msec=round(1000 * PIECE_SECONDS),
                callback_periods=_PERIODS,
                device_id=device_id,
                backends=backends,
                app_name="cartesia-sync",
            )
        except library.MiniaudioError as error:
            raise MicrophoneError(
                f"no microphone can be opened ({_words_of(error)}); Microphone.devices() lists those that are there"
            ) from error

    def __iter__(self) -> Iterator[bytes]:
        """Begin to record, unless it does already.

        Raises:
            MicrophoneError: It cannot be started, or was closed.
        """
        if self._is_closed:
            raise MicrophoneError("this microphone was closed; open another one")
        if not self._has_started:
            self._has_started = True
            recording = self._recording()
            next(recording)
            self._device.stop_callback = self._lost
            _open.add(self._device)
            try:
                self._device.start(recording)
            except self._library.MiniaudioError as error:
                self.close()
                raise MicrophoneError(f"the microphone cannot be started ({_words_of(error)})") from error
        return self

    def __next__(self) -> bytes:
        """Return the next tenth of a second.

        Raises:
            MicrophoneError: The device has gone.

        Threads: one at a time. Waits for the device, at most for five seconds.
        """
        if not self._has_started:
            iter(self)
        try:
            piece = self._pieces.get(timeout=SILENT_DEVICE_SECONDS)
        except queue.Empty:
            raise MicrophoneError(f"the microphone has given nothing for {SILENT_DEVICE_SECONDS} s") from None
        if piece is not None:
            return piece
        self._pieces.put(None)  # it stays at its end
        if self._is_lost and not self._is_closed:
            raise MicrophoneError("the microphone has gone; Microphone.devices() lists those that are there")
        raise StopIteration

    # ---- the device's thread

    def _recording(self) -> Any:
        """Take what the device hears. Does not wait."""
        size = 2 * round(self.sample_rate * PIECE_SECONDS)
        rest = b""
        while True:
            heard = yield
            rest += bytes(heard)
            while len(rest) >= size:
                piece, rest = rest[:size], rest[size:]
                if self._pieces.qsize() >= _MOST_PIECES:
                    self._drop_one()
                self._pieces.put(piece)

    def _drop_one(self) -> None:
        try:
            if self._pieces.get_nowait() is None:
                self._pieces.put(None)
            self.dropped += 1
        except queue.Empty:
            return  # somebody took it

    def _lost(self) -> None:
        self._is_lost = True
        self._pieces.put(None)

    # ---- the end

    def close(self) -> None:
        """Record no more, and give the device back; whoever iterates comes to the end. Idempotent.

        Threads: any but the device's. Waits for the device, some milliseconds.
        """
        self._is_closed = True
        self._pieces.put(None)
        try:
            device = self._to_close.pop()
        except IndexError:
            return
        device.stop_callback = None
        device.close()
        _open.discard(device)


def _miniaudio() -> Any:
    try:
        import miniaudio
    except ImportError as error:
        raise ImportError(
            f"a microphone needs miniaudio: pip install 'cartesia-sync[play]' ({error})", name="miniaudio"
        ) from error
    return miniaudio


def _captures(library: Any) -> list[Any]:
    try:
        found: list[Any] = library.Devices(
            [each for each in library.Backend if each is not library.Backend.NULL]
        ).get_captures()
    except library.MiniaudioError as error:
        raise MicrophoneError(f"the microphones cannot be listed ({_words_of(error)})") from error
    return found


def _found(library: Any, name: str) -> Any:
    there = _captures(library)
    exact = [each for each in there if each["name"] == name]
    found = exact or [each for each in there if name.casefold() in each["name"].casefold()]
    if len(found) == 1 or exact:
        return found[0]["id"]
    names = ", ".join(repr(each["name"]) for each in there) or "none"
    raise MicrophoneError(f"{'no' if not found else 'more than one'} microphone is called {name!r}; there are: {names}")


def _words_of(error: Exception) -> str:
    return " ".join(map(str, error.args))


def _forget_in_child() -> None:
    """Forget the devices in a forked child: their threads are the parent's, and to wait for those had no end."""
    for device in tuple(_open):
        device.running, device.callback_generator, device.stop_callback = False, None, None
        device._device = None
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
