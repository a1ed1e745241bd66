"""A stream that one thread reads while others write.

A socket timeout shared by a reader and writers loses healthy TLS connections on CPython 3.10 to 3.12, and plain
blocking TLS deadlocks on 3.13.6 (gh-137583). So the socket never blocks: a thread waits in ``poll()`` outside every
lock, and then does one recv or send that cannot block, under ``_io_lock``, which shuts the other side's out.

What is to be sent stands in one line, frame by frame. Whoever holds ``_io_lock`` moves the line on: the writer whose
frame it is, and the reader, which puts its pongs there and never waits for them to leave.
"""

from __future__ import annotations

import selectors
import threading
from collections import deque
from typing import Optional

from .deadline import Deadline
from .stream import Stream

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


class Duplex:
    """The stream and the bytes on their way through it.

    Attributes:
        ahead: What was read ahead and not taken yet, from ``start`` to ``end``. For the reader alone; it stands still
            until the next ``take``.
        recv_calls: How many times the stream gave bytes, for tests that count work.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        # Re-entrant: a dropped connection's finalizer calls shut() in whatever thread the collector runs in, and that
        # may be the one that holds it. Never held across a wait.
        self._io_lock = threading.RLock()
        self._unsent: deque[memoryview] = deque()  # guarded by _io_lock, as are the next five
        self._queued_bytes = 0
        self._sent_bytes = 0
        self._waiting_writers = 0
        self._is_shut = False
        self._is_closing = False
        self._selector = _Selector()  # the reader's own, as is all that follows
        self._selector.register(stream, _READ)
        self._selecting = _READ
        self._is_drained = False  # the next recv would be in vain without a wait
        self.ahead = bytearray(READ_AHEAD_BYTES)
        self._view = memoryview(self.ahead)
        self._wanted_bytes = READ_AHEAD_BYTES
        self.start = 0
        self.end = 0
        self.recv_calls = 0

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
                wanted = _READ | _WRITE if self._unsent or self._stream.has_unsent else _READ
            if wanted != self._selecting:
                self._selector.modify(self._stream, wanted)
                self._selecting = wanted
            if not self._selector.select(deadline.left()):
                self._wanted_bytes = READ_AHEAD_BYTES  # an idle connection costs no more than it must
                raise SilenceError
            self._is_drained = False
        if not count:
            raise EOFError("the stream ended")
        self.end += count
        if self.end == len(self.ahead) == self._wanted_bytes:
            self._wanted_bytes = min(2 * self._wanted_bytes, MOST_READ_AHEAD_BYTES)

    def _make_room(self, size: int) -> None:
        kept = self.end - self.start
        room = max(self._wanted_bytes, size)
        if kept and self.start + size <= len(self.ahead):
            return  # what is missing fits behind what is there
        target = self.ahead if len(self.ahead) == room else bytearray(room)
        target[:kept] = self.ahead[self.start : self.end]
        self.ahead, self._view, self.start, self.end = target, memoryview(target), 0, kept

    def queue(self, frame: bytes) -> None:
        """Put a frame in line and send what leaves at once; the reader's own later reads see to the rest.

        Where a peer has long read nothing the frame is left out: one that sends pings and takes no pong must not fill
        our memory.

        Threads: any. Does not wait. What another thread than the reader leaves in line waits for the reader's next
        turn.
        """
        with self._io_lock:
            if len(self._unsent) < MOST_QUEUED_FRAMES:
                self._queue_locked(frame)

    def close(self) -> None:
        """Free the socket, as soon as no writer waits on it: a number that is closed may be given out again.

        Threads: the reader only, once, at its end. Does not wait.
        """
        self.shut()
        self._selector.close()
        with self._io_lock:
            self._is_closing = True
            if not self._waiting_writers:
                self._stream.close()

    # ---- any thread

    def write(self, frame: bytes, deadline: Deadline) -> None:
        """Send a whole frame. The caller sees to it that there is one writer at a time.

        Raises:
            SilenceError: The peer did not take it in time. Half of it may be out: nothing may follow.
            OSError: The socket failed (ssl.SSLError included), or is shut.

        Threads: any. Waits until the frame has left, at most until the deadline.
        """
        with self._io_lock:
            last = self._queue_locked(frame)
            if self._sent_bytes >= last:
                return
            self._waiting_writers += 1
        try:
            with _Selector() as selector:
                selector.register(self._stream, _WRITE)
                while True:
                    if not selector.select(deadline.left()):
                        raise SilenceError
                    with self._io_lock:
                        self._move_on_locked()
                        if self._sent_bytes >= last:
                            return
        finally:
            with self._io_lock:
                self._waiting_writers -= 1
                if self._is_closing and not self._waiting_writers:
                    self._stream.close()

    def shut(self) -> None:
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

    def drop(self) -> None:
        """In a forked child: give back this process's descriptor and leave the connection to the parent.

        ``shutdown()`` would end the parent's too. Takes no lock: another thread may have held it at the fork.
        """
        self._io_lock = threading.RLock()
        self._is_shut = True
        self._stream.close()

    def _queue_locked(self, frame: bytes) -> int:
        """Put a frame in line; give the count of sent bytes at which it is out."""
        if self._is_shut:
            raise BrokenPipeError("the socket is shut")
        self._unsent.append(memoryview(frame))
        self._queued_bytes += len(frame)
        last = self._queued_bytes
        self._move_on_locked()
        return last

    def _move_on_locked(self) -> None:
        """Send what can leave now. What the stream refused is offered again as it was, before anything else."""
        try:
            self._stream.flush()
            while self._unsent:
                count = self._stream.send(self._unsent[0])
                self._sent_bytes += count
                if count == len(self._unsent[0]):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = self._unsent[0][count:]
        except BlockingIOError:
            pass
