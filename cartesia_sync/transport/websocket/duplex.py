"""A stream that one thread reads while others write.

A socket timeout shared by a reader and writers loses healthy TLS connections on CPython 3.10 to 3.12, and plain
blocking TLS deadlocks on 3.13.6 (gh-137583). So the socket never blocks: the reader waits in ``poll()`` outside every
lock, and then does one recv or send that cannot block, under ``_io_lock``, which shuts the other side's out.

What is to be sent stands in one line, ``unsent``, frame by frame. A frame that stands there leaves whole, and once,
whatever interrupts the thread that put it there: whoever holds ``_io_lock`` moves the line on, and what a writer leaves
over is the reader's, whom ``wake()`` gets out of ``poll()``. A writer waits for its frame, never for the socket.
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
"""One recv serves several frames: without it a frame costs four. While more is waiting than one recv could take, the
next takes twice as much: the fewer the reader's turns, the fewer the changes between its thread and the receivers'."""

MOST_QUEUED_FRAMES = 1000
"""How many may stand in line before ``queue`` adds nothing more; they are pongs and cancels, and small."""

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)  # no descriptor of its own, unlike epoll


class SilenceError(Exception):
    """Nothing came within the time that was given; what has come so far is kept."""


class WokenError(SilenceError):
    """``wake()`` was called, and nothing came; what has come so far is kept."""


class Frame:
    """Bytes that stand in line to be sent.

    Attributes:
        data: The bytes.
        counts: How much of it each send took; appended by C code alone.
        has_left: Whether all of it has.
        waiter: Where the thread hears that waits for it to leave: None, or why it will not.
    """

    __slots__ = ("counts", "data", "has_left", "waiter")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.counts: list[int] = []
        self.has_left = False
        self.waiter: Optional[queue.SimpleQueue[Optional[OSError]]] = None

    @property
    def has_begun_to_leave(self) -> bool:
        """Whether some of it may be out."""
        return self.has_left or bool(self.counts)

    def tell(self, failure: Optional[OSError]) -> None:
        """Let the thread know that waits for it, if there is one: that it has left, or why it will not."""
        if self.waiter is not None:
            self.waiter.put(failure)


class _Waker:
    """What rings a bell that a selector hears: the two ends of a socket pair.

    The far end is closed when nobody holds this any more, and so nobody is in ``ring``: a descriptor's number that is
    closed may be given out again.
    """

    def __init__(self) -> None:
        self.bell, self._end = socket.socketpair()
        for each in (self.bell, self._end):
            each.setblocking(False)
            never_signal(each)

    def __del__(self) -> None:
        end = getattr(self, "_end", None)
        if end is not None:
            end.close()

    def ring(self) -> None:
        """Ring. Threads: any, at any time; takes no lock, and does not wait."""
        try:
            self._end.send(b"\0", NO_SIGNAL)
        except OSError:
            pass  # it has been rung and not heard yet


class Duplex:
    """The stream and the bytes on their way through it.

    Attributes:
        unsent: The frames that have not left whole. To append to it is to send: what stands here leaves in this order.
            Only ``_io_lock``'s owner takes any away.
        ahead: What was read ahead and not taken yet, from ``start`` to ``end``. For the reader alone; it stands still
            until the next ``take``.
        recv_calls: How many times the stream gave bytes, for tests that count work.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        # Re-entrant: a finalizer or handler calls shutdown() in a thread that may hold it. Never held across
        # a wait.
        self._io_lock = threading.RLock()
        self.unsent: list[Frame] = []
        self._is_shut = False  # guarded by _io_lock
        self._waker: Optional[_Waker] = _Waker()
        self._bell = self._waker.bell  # the reader's own, as is all that follows
        self._selector = _Selector()
        self._selector.register(stream, _READ)
        self._selector.register(self._bell, _READ)
        self._selecting = _READ
        self._is_drained = False  # the next recv would be in vain without a wait
        self._is_woken = False  # and nobody was told of it yet
        self.ahead = bytearray(READ_AHEAD_BYTES)
        self._view = memoryview(self.ahead)
        self._wanted_bytes = READ_AHEAD_BYTES
        self.start = 0
        self.end = 0
        self.recv_calls = 0

    def __del__(self) -> None:
        for name in ("_bell", "_stream"):
            each = getattr(self, name, None)
            if each is not None:
                each.close()

    # ---- reader thread only

    def take(self, size: int, deadline: Deadline) -> bytes:
        """Give the next ``size`` bytes.

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
        """Read once, and take nothing of it; otherwise as ``take``."""
        self._fill(1, deadline)

    def take_ready(self, skip: int, size: int) -> bytes:
        """Leave out so many bytes, and give the next ``size``; all of them are in ``ahead``."""
        start = self.start + skip
        self.start = start + size
        return bytes(self._view[start : self.start])

    def take_some(self, size: int, deadline: Deadline) -> bytes:
        """Give at least one byte and at most ``size``; otherwise as ``take``."""
        if not self.has_ahead:
            self.read_ahead(deadline)
        return self.take(min(size, self.end - self.start), deadline)

    def _fill(self, size: int, deadline: Deadline) -> None:
        """Read once, so that more of ``size`` bytes is there."""
        self._make_room(size)
        room = self._view[self.end :]
        while True:
            with self._io_lock:
                failure: Optional[OSError] = None
                try:
                    self._move_on_locked()
                except OSError as error:
                    failure = error  # what came before the end is still to be read, and the reason may be among it
                if not self._is_drained or failure is not None:
                    try:
                        count = self._stream.recv_into(room)
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
                if key.fileobj is self._bell:
                    self._hear_bell()
                else:
                    self._is_drained = False
        if not count:
            raise EOFError("the stream ended")
        self.end += count
        if self.end == len(self.ahead) == self._wanted_bytes:
            self._wanted_bytes = min(2 * self._wanted_bytes, MOST_READ_AHEAD_BYTES)

    def _hear_bell(self) -> None:
        try:
            self._bell.recv(4096)
        except BlockingIOError:
            pass
        self._is_woken = True

    def _make_room(self, size: int) -> None:
        kept = self.end - self.start
        room = max(self._wanted_bytes, size)
        if kept and self.start + size <= len(self.ahead):
            return  # what is missing fits behind what is there
        target = self.ahead if len(self.ahead) == room else bytearray(room)
        target[:kept] = self.ahead[self.start : self.end]
        self.ahead, self._view, self.start, self.end = target, memoryview(target), 0, kept

    def queue(self, frame: Frame) -> None:
        """Put a frame in line and send what leaves at once; the reader's own later reads see to the rest.

        Where a peer has long read nothing the frame is left out: one that sends pings and takes no pong must not fill
        our memory.

        Threads: the reader. Does not wait.

        Raises:
            OSError: The socket failed, or is shut.
        """
        if len(self.unsent) < MOST_QUEUED_FRAMES:
            self.unsent.append(frame)
            self.move_on()

    def flush(self, deadline: Deadline) -> None:
        """Wait until all that stands in line has left, while there is no reader yet: for the one who connects.

        Raises:
            SilenceError: The peer did not take it in time.
            OSError: The socket failed.
        """
        while True:
            self.move_on()
            if not self.unsent:
                return
            with _Selector() as selector:
                selector.register(self._stream, _WRITE)
                if not selector.select(deadline.left()):
                    raise SilenceError

    def close(self) -> None:
        """Free the socket; whoever waits for a frame to leave hears that it will not.

        Threads: the reader only, once, at its end. Does not wait.
        """
        self.shutdown()
        self._selector.close()
        self._bell.close()
        self._waker = None
        with self._io_lock:
            self._stream.close()
            for frame in self.unsent:  # no ``if`` at the loop's end: see tests/package/test_locks_in_source.py
                frame.tell(BrokenPipeError("the socket is shut"))

    # ---- any thread

    def move_on(self) -> None:
        """Send what can leave now of all that stands in line.

        Raises:
            OSError: The socket failed (ssl.SSLError included), or is shut.

        Threads: any. Does not wait. What interrupts a thread that is at this very step, such as a signal's handler,
            leaves it to that thread: in the middle of a step another one would send the same bytes again.
        """
        if self._is_interrupted_step():
            return
        with self._io_lock:
            self._move_on_locked()

    def finish(self, frame: Frame, deadline: Deadline) -> None:
        """Wait until a frame that stands in line has left.

        Raises:
            SilenceError: The peer did not take it in time. Half of it may be out: nothing may follow.
            OSError: The socket failed (ssl.SSLError included), or is shut.

        Threads: any but the reader. Waits for the frames before it and for its own, at most until the deadline; woken
            by the reader, as each leaves and at the end. Interrupted, the frame stays in line; ``wake()`` then. Does
            not wait where it interrupts a thread that is at such a step itself: the frame leaves when that goes on.
        """
        if self._is_interrupted_step():
            return
        with self._io_lock:
            if not frame.has_left:
                self._move_on_locked()
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
        """Get the reader out of its wait, to look at what was left for it.

        Threads: any, at any time, a finalizer or a signal's handler included: takes no lock. Does not wait.
        """
        waker = self._waker
        if waker is not None:
            waker.ring()

    @property
    def is_in_use_here(self) -> bool:
        """Whether the calling thread is in the midst of a send or a recv, which a finalizer or a handler interrupted.

        Nobody else reads or writes before that has come to its end.
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
        """In a forked child: give back this process's descriptors and leave the connection to the parent.

        ``shutdown()`` would end the parent's too. Takes no lock: another thread may have held it at the fork.
        """
        self._io_lock = threading.RLock()
        self._is_shut = True
        self._stream.close()
        self._bell.close()
        self._waker = None

    def _is_interrupted_step(self) -> bool:
        """Whether this thread is in the middle of a send or recv already, which a signal's handler or the collector
        has interrupted. Has the reader look at what is left in line.

        Raises:
            BrokenPipeError: It is, and the socket is shut.
        """
        if not is_owned(self._io_lock):
            return False
        if self._is_shut:
            raise BrokenPipeError("the socket is shut")
        self.wake()
        return True

    def _move_on_locked(self) -> None:
        """Send what can leave now. What the stream refused is offered again as it was, before anything else."""
        assert is_owned(self._io_lock)
        if self._is_shut:
            raise BrokenPipeError("the socket is shut")
        try:
            self._stream.flush()
            while True:
                if not self.unsent:
                    return
                frame = self.unsent[0]
                sent = sum(frame.counts)
                if sent < len(frame.data):
                    self._stream.send(memoryview(frame.data)[sent:], frame.counts)
                else:
                    frame.has_left = True
                    frame.tell(None)
                    del self.unsent[0]  # last: what strikes before does no more than have it told again
        except BlockingIOError:
            pass
