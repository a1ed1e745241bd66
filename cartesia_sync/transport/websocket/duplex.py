"""A stream that one thread reads while others write.

A socket timeout shared by a reader and writers loses healthy TLS connections on CPython 3.10 to 3.12, and plain
blocking TLS deadlocks on 3.13.6 (gh-137583). So the socket never blocks: the reader waits in ``poll()`` outside every
lock, and then does one recv or send that cannot block, under ``_io_lock``, which shuts the other side's out.

What is to be sent stands in line in ``unsent``, frame by frame. A frame that stands there leaves whole, and once,
whatever interrupts the thread that put it there: whoever holds ``_io_lock`` sends what can leave, and the reader, whom
``wake()`` gets out of ``poll()``, sends what a writer could not. A writer waits for its frame, never for the socket.
"""

from __future__ import annotations

import queue
import selectors
import socket
import threading
from typing import Optional

from ..deadline import Deadline
from ..locks import is_owned
from .stream import NO_SIGNAL, Stream, never_signal

READ_AHEAD_BYTES = 1 << 16
MOST_READ_AHEAD_BYTES = 1 << 20
"""One recv serves several frames; without reading ahead a frame costs four. While more is waiting than one recv could
take, the next takes twice as much: the fewer reads, the fewer switches between the reader's thread and the receivers'.
"""

MOST_QUEUED_FRAMES = 1000
"""How many may stand in line before ``queue`` adds nothing more. They are pongs and cancels, and small."""

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)  # no descriptor of its own, unlike epoll


class SilenceError(Exception):
    """Nothing came in time; what has come so far is kept."""


class WokenError(SilenceError):
    """``wake()`` was called, and nothing came; what has come so far is kept."""


class Frame:
    """Bytes that stand in line to be sent.

    Attributes:
        data: The bytes.
        counts: How many bytes each send took; appended by C code alone.
        has_left: Whether all of it was sent.
        waiter: Wakes the thread that waits for it to leave: with None, or with the reason why it will not.
    """

    __slots__ = ("counts", "data", "has_left", "waiter")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.counts: list[int] = []
        self.has_left = False
        self.waiter: Optional[queue.SimpleQueue[Optional[OSError]]] = None

    @property
    def has_begun_to_leave(self) -> bool:
        """Whether some of it may have been sent."""
        return self.has_left or bool(self.counts)

    def settle(self, failure: Optional[OSError]) -> None:
        """Wake the thread that waits for it, if there is one: it has left (None), or will not, for this reason."""
        if self.waiter is not None:
            self.waiter.put(failure)


class _Waker:
    """Wakes a thread that waits in a selector: a socket pair, whose ``read_end`` is registered there.

    The other end is closed when the last reference to this is gone, so that nobody is in ``wake``: the number of a
    closed descriptor may be used again.
    """

    def __init__(self) -> None:
        self.read_end, self._write_end = socket.socketpair()
        for each in (self.read_end, self._write_end):
            each.setblocking(False)
            never_signal(each)

    def __del__(self) -> None:
        end = getattr(self, "_write_end", None)
        if end is not None:
            end.close()

    def wake(self) -> None:
        """Make ``read_end`` readable. Threads: any, at any time; takes no lock, and does not wait."""
        try:
            self._write_end.send(b"\0", NO_SIGNAL)
        except OSError:
            pass  # it is readable already, or closed


class Duplex:
    """Reads from a stream, and sends frames over it.

    Attributes:
        unsent: The frames that have not left whole. To append to it is to send: they leave in this order. Only the
            owner of ``_io_lock`` removes any.
        ahead: What was read ahead and not taken yet, from ``start`` to ``end``. For the reader alone; it does not
            change until the next ``take``.
        recv_calls: How many times the stream returned bytes, for tests that count work.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        # Re-entrant: a finalizer or a signal's handler calls shutdown() in a thread that may hold it. Never held
        # across a wait.
        self._io_lock = threading.RLock()
        self.unsent: list[Frame] = []
        self._is_shut = False  # guarded by _io_lock
        self._waker: Optional[_Waker] = _Waker()
        self._wake_socket = self._waker.read_end  # for the reader alone, as is all that follows
        self._selector = _Selector()
        self._selector.register(stream, _READ)
        self._selector.register(self._wake_socket, _READ)
        self._selecting = _READ
        self._is_drained = False  # the next recv would find nothing without a wait
        self._is_woken = False  # and WokenError was not raised yet
        self.ahead = bytearray(READ_AHEAD_BYTES)
        self._view = memoryview(self.ahead)
        self._wanted_bytes = READ_AHEAD_BYTES
        self.start = 0
        self.end = 0
        self.recv_calls = 0

    def __del__(self) -> None:
        for name in ("_wake_socket", "_stream"):
            each = getattr(self, name, None)
            if each is not None:
                each.close()

    # ---- reader thread only

    def take(self, size: int, deadline: Deadline) -> bytes:
        """Return the next ``size`` bytes.

        Raises:
            SilenceError: The deadline passed first; a later call goes on where this one stopped.
            EOFError: The stream ended first.
            OSError: The socket failed (ssl.SSLError included).

        Threads: the reader only. Waits for the peer, until the deadline.
        """
        while self.end - self.start < size:
            self._fill(size, deadline)
        start = self.start
        self.start = start + size
        return bytes(self._view[start : self.start])

    @property
    def has_ahead(self) -> bool:
        """Whether something was read ahead and not taken yet."""
        return self.end > self.start

    def read_ahead(self, deadline: Deadline) -> None:
        """Read once, and take nothing; otherwise as ``take``."""
        self._fill(1, deadline)

    def take_ready(self, skip: int, size: int) -> bytes:
        """Skip ``skip`` bytes and return the next ``size``; all of them are in ``ahead``."""
        start = self.start + skip
        self.start = start + size
        return bytes(self._view[start : self.start])

    def take_some(self, size: int, deadline: Deadline) -> bytes:
        """Return at least one byte and at most ``size``; otherwise as ``take``."""
        if not self.has_ahead:
            self.read_ahead(deadline)
        return self.take(min(size, self.end - self.start), deadline)

    def _fill(self, size: int, deadline: Deadline) -> None:
        """Read once, towards ``size`` bytes that are here."""
        self._make_room(size)
        buffer = self._view[self.end :]
        while True:
            with self._io_lock:
                failure: Optional[OSError] = None
                try:
                    self._send_ready_locked()
                except OSError as error:
                    failure = error  # what came before the end is read first: it may hold the reason
                if not self._is_drained or failure is not None:
                    try:
                        count = self._stream.recv_into(buffer)
                    except BlockingIOError:
                        pass
                    else:
                        self.recv_calls += 1
                        self._is_drained = self._stream.is_drained
                        break
                if failure is not None:
                    raise failure
                wanted = _READ | _WRITE if self.unsent or self._stream.has_unsent else _READ
            if self._is_woken:
                self._is_woken = False
                raise WokenError
            if wanted != self._selecting:
                self._selector.modify(self._stream, wanted)
                self._selecting = wanted
            ready = self._selector.select(deadline.left())
            if not ready:
                self._wanted_bytes = READ_AHEAD_BYTES  # an idle connection costs no more than it must
                raise SilenceError
            for key, _ in ready:
                if key.fileobj is self._wake_socket:
                    self._drain_waker()
                else:
                    self._is_drained = False
        if not count:
            raise EOFError("the stream ended")
        self.end += count
        if self.end == len(self.ahead) == self._wanted_bytes:
            self._wanted_bytes = min(2 * self._wanted_bytes, MOST_READ_AHEAD_BYTES)

    def _drain_waker(self) -> None:
        try:
            self._wake_socket.recv(4096)
        except BlockingIOError:
            pass
        self._is_woken = True

    def _make_room(self, size: int) -> None:
        kept = self.end - self.start
        capacity = max(self._wanted_bytes, size)
        if kept and self.start + size <= len(self.ahead):
            return  # what is missing fits behind what is there
        target = self.ahead if len(self.ahead) == capacity else bytearray(capacity)
        target[:kept] = self.ahead[self.start : self.end]
        self.ahead, self._view, self.start, self.end = target, memoryview(target), 0, kept

    def queue(self, frame: Frame) -> None:
        """Put a frame in line and send what leaves at once; the reader's later reads send the rest.

        The frame is dropped where the peer has not read for long: one that sends pings and takes no pong must not fill
        our memory.

        Threads: the reader. Does not wait.

        Raises:
            OSError: The socket failed, or is shut.
        """
        if len(self.unsent) < MOST_QUEUED_FRAMES:
            self.unsent.append(frame)
            self.send_ready()

    def flush(self, deadline: Deadline) -> None:
        """Wait until all that stands in line has left. For whoever connects, while there is no reader yet.

        Raises:
            SilenceError: The peer did not take it in time.
            OSError: The socket failed.
        """
        while True:
            self.send_ready()
            if not self.unsent:
                return
            with _Selector() as selector:
                selector.register(self._stream, _WRITE)
                if not selector.select(deadline.left()):
                    raise SilenceError

    def close(self) -> None:
        """Close the socket, and wake whoever waits for a frame that will not leave.

        Threads: the reader only, once, at its end. Does not wait.
        """
        self.shutdown()
        self._selector.close()
        self._wake_socket.close()
        self._waker = None
        with self._io_lock:
            self._stream.close()
            for frame in self.unsent:  # no ``if`` at the loop's end: see tests/package/test_locks_in_source.py
                frame.settle(BrokenPipeError("the socket is shut"))

    # ---- any thread

    def send_ready(self) -> None:
        """Send what can leave now of all that stands in line.

        Raises:
            OSError: The socket failed (ssl.SSLError included), or is shut.

        Threads: any. Does not wait. In a finalizer or a signal's handler that interrupted a thread in this very step,
            it leaves the sending to that thread: a second step in the middle of the first would send the same bytes
            again.
        """
        if self._is_interrupted_step():
            return
        with self._io_lock:
            self._send_ready_locked()

    def finish(self, frame: Frame, deadline: Deadline) -> None:
        """Wait until a frame that stands in line has left.

        Raises:
            SilenceError: The peer did not take it in time. Half of it may be out: nothing may follow.
            OSError: The socket failed (ssl.SSLError included), or is shut.

        Threads: any but the reader. Waits for the frames before it and for its own, at most until the deadline; woken
            by the reader, as each leaves and at the end. Interrupted, the frame stays in line; call ``wake()`` then.
            In a finalizer or a signal's handler that interrupted a thread in such a step it does not wait: the frame
            leaves when that thread goes on.
        """
        if self._is_interrupted_step():
            return
        with self._io_lock:
            if not frame.has_left:
                self._send_ready_locked()
            if frame.has_left:
                return
            waiter = frame.waiter
            if waiter is None:
                waiter = frame.waiter = queue.SimpleQueue()
        self.wake()
        try:
            failure = waiter.get(timeout=deadline.left())
        except queue.Empty:
            raise SilenceError from None
        if failure is not None:
            raise failure

    def wake(self) -> None:
        """Get the reader out of its wait, to carry out what was left for it.

        Threads: any, at any time, a finalizer or a signal's handler included: takes no lock. Does not wait.
        """
        waker = self._waker
        if waker is not None:
            waker.wake()

    @property
    def is_in_use_here(self) -> bool:
        """Whether a finalizer or a signal's handler asks, in a thread that it interrupted in a send or a recv.

        Nobody else reads or writes before that send or recv has ended.
        """
        return is_owned(self._io_lock)

    def shutdown(self) -> None:
        """End both directions and wake whoever waits. Idempotent.

        Threads: any, at any time, a finalizer included. Does not wait.
        """
        with self._io_lock:
            if self._is_shut:
                return
            self._is_shut = True
            try:
                self._stream.shutdown()
            except OSError:
                pass  # the peer was faster

    def detach(self) -> None:
        """Close the descriptors of a forked child, and leave the connection to the parent.

        ``shutdown()`` would end the parent's too. Takes no lock: another thread may have held it at the fork.
        """
        self._io_lock = threading.RLock()
        self._is_shut = True
        self._stream.close()
        self._wake_socket.close()
        self._waker = None

    def _is_interrupted_step(self) -> bool:
        """Whether this thread is in a send or a recv already, which a signal's handler or the collector interrupted.

        If so, wakes the reader, which sends what is left in line.

        Raises:
            BrokenPipeError: It is, and the socket is shut.
        """
        if not is_owned(self._io_lock):
            return False
        if self._is_shut:
            raise BrokenPipeError("the socket is shut")
        self.wake()
        return True

    def _send_ready_locked(self) -> None:
        """Send what can leave now. What the stream did not take is offered again unchanged, before anything else."""
        assert is_owned(self._io_lock)
        if self._is_shut:
            raise BrokenPipeError("the socket is shut")
        try:
            self._stream.flush()
            while True:
                if not self.unsent:
                    return
                frame = self.unsent[0]
                sent = sum(frame.counts) if frame.counts else 0
                if sent < len(frame.data):
                    self._stream.send(memoryview(frame.data)[sent:] if sent else frame.data, frame.counts)
                else:
                    frame.has_left = True
                    if frame.waiter is not None:
                        frame.settle(None)
                    del self.unsent[0]  # last: an interrupt before it only settles the frame a second time
        except BlockingIOError:
            pass
