"""Interrupts at every place where this Python can deliver one.

Ctrl-C, a signal's handler and a time limit (``PyThreadState_SetAsyncExc``) come from outside the code that they strike.
The interpreter delivers them at certain places only: after a call of C code, at a function's beginning, at a jump
backwards; which ones differs from version to version. So nothing is computed here: an interrupt is made pending just
before an instruction, and the interpreter delivers it where it would deliver a real one. Where that was is looked up,
and the next interrupt is made pending after it, until a run ends before one is delivered. So::

    for strike in strikes("/duplex.py", "/stream.py"):
        ... # set up
        strike.run(function, *args)
        ... # what must hold, wherever it struck: strike.place says where, and is None the last time

On Python 3.9 an interrupt can be delivered where ``with`` gives a lock back: the lock stays taken. That is Python's,
and a test asks ``LOCKS_LEAK``.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import dis
import functools
import gc
import signal
import sys
import threading
from bisect import bisect_right
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, Callable, Optional

LOCKS_LEAK = sys.version_info < (3, 10)
"""Whether ``with lock:`` can leave a lock taken that nobody gives back."""

MOST_LOST = 200
"""How many may be lost one after the other: more than there are instructions in any finalizer."""

# A prototype of its own: the attribute of ctypes.pythonapi is everybody's.
_PROTOTYPE = ctypes.PYFUNCTYPE(None, ctypes.c_ulong, ctypes.py_object)
_raise_in = _PROTOTYPE(("PyThreadState_SetAsyncExc", ctypes.pythonapi))


class Struck(BaseException):  # what has happened
    """What is raised from outside; nothing but a test catches it."""


class Place:
    """An instruction of a code object."""

    def __init__(self, code: CodeType, offset: int) -> None:
        self.code = code
        self.offset = _start(code, offset)
        self.is_beginning = offset < 0 or dis.opname[code.co_code[self.offset]] == "RESUME"

    def __str__(self) -> str:
        line = 0
        for offset, number in dis.findlinestarts(self.code):
            if offset > self.offset:
                break
            line = number or line
        name = self.code.co_filename.rpartition("/")[2]
        operation = dis.opname[self.code.co_code[self.offset]]
        return f"{name}:{line} in {self.code.co_name}, {operation} at {self.offset}"


@functools.cache
def _start(code: CodeType, offset: int) -> int:
    """Return where the instruction begins in which a frame stands."""
    starts, before = [0], ""
    for instruction in dis.get_instructions(code):
        if before != "PRECALL":  # 3.11 may carry out this one and the next in one
            starts.append(instruction.offset)
        before = instruction.opname
    return starts[bisect_right(starts, max(offset, 0)) - 1]


class Strike:
    """One run, and one interrupt in it.

    Attributes:
        place: Where it struck: the innermost of the instructions that count. None: the run ended before.
        is_over: Whether the run ended before the interrupt could be made pending.
    """

    def __init__(
        self, files: tuple[str, ...], call: Optional[Callable[[], object]], first: int, last: Optional[Place]
    ) -> None:
        self._files = files
        self._call = call
        self._first = first  # the number of the instruction before which the last one was made pending, or this one is
        self._last = last
        self._is_near = False
        self._function: Optional[CodeType] = None
        self._thread = 0
        self._count = 0
        self._stands: dict[CodeType, int] = {}  # before which instruction of each code object the way came by last
        self.was_lit = False
        self.place: Optional[Place] = None
        self.was_run = False
        self.was_delivered = False
        self.number = first

    @property
    def is_over(self) -> bool:
        return self.was_run and self.place is None

    def run(self, function: Callable[..., object], *args: object) -> None:
        """Call a function in this thread, and strike in it or in what it calls, in the files that count.

        What the function raises of its own goes on to the caller.
        """
        assert not self.was_run
        self.was_run = True
        self._function = getattr(function, "__code__", None)
        self._thread = threading.get_ident()
        self._is_main = threading.current_thread() is threading.main_thread()
        watch = _Watch(self)
        before = signal.getsignal(signal.SIGINT)
        if self._is_main:
            signal.signal(signal.SIGINT, self._handle)
        try:
            watch.start()
            function(*args)
            _be_struck()
        except Struck as error:
            self.was_delivered = True
            self._remember(error)
        finally:
            try:
                _be_struck()
            except Struck:
                self.was_delivered = True  # behind an exception of the function's own
            watch.stop()
            if self._is_main:
                signal.signal(signal.SIGINT, before)

    def counts(self, code: CodeType) -> bool:
        """Whether the instructions of a code object count."""
        return code is self._function or code.co_filename.endswith(self._files)

    def pass_by(self, code: CodeType, offset: int) -> Optional[object]:
        """Count an instruction; where the interrupt is due, give what makes it pending at its own end."""
        number, self._count = self._count, self._count + 1
        offset = _start(code, offset)
        if self.was_lit or number < self._first or not self._is_behind_last(code, offset, number):
            self._stands[code] = offset
            return None
        self.number = number
        self.was_lit = True
        return _signal_fuse() if self._is_main else _fuse(self._thread)

    def _is_behind_last(self, code: CodeType, offset: int, number: int) -> bool:
        """Whether the way is behind the place that was struck last, so that the next interrupt strikes elsewhere."""
        last = self._last
        if last is None:
            return True
        if number == self._first:  # here the last one was made pending
            is_inside = code is not last.code and self._stands.get(last.code) == last.offset
            self._is_near = is_inside or last.is_beginning  # of a call that has been passed, or will be
            if self._is_near:
                return False
        if self._is_near:
            return code is last.code
        if code is last.code and offset == last.offset:
            self._last = None
        return False

    def _remember(self, error: Struck) -> None:
        traceback = error.__traceback__ and error.__traceback__.tb_next  # the first is ours
        while traceback is not None:
            if self.counts(traceback.tb_frame.f_code):
                self.place = Place(traceback.tb_frame.f_code, traceback.tb_lasti)
            traceback = traceback.tb_next

    def _handle(self, _number: int, frame: Optional[FrameType]) -> None:
        if self._call is None:
            raise Struck
        self.was_delivered = True
        each = frame
        while each is not None and each.f_code is not Strike.run.__code__:
            if self.counts(each.f_code):
                self.place = Place(each.f_code, each.f_lasti)
                self._call()
                return
            each = each.f_back


def strikes(*files: str, call: Optional[Callable[[], object]] = None) -> Iterator[Strike]:
    """Return one strike after the other, each at the place that follows the one before; the last hits nothing.

    Args:
        files: The ends of the names of the files that count; so does the function that is run.
        call: Instead of an exception, have a signal's handler call this. In the main thread only, where exceptions come
            from one too; in others from ``PyThreadState_SetAsyncExc``.
    """
    first, last = 0, None
    lost = 0
    while True:
        strike = Strike(files, call, first, last)
        with no_callbacks_of_the_collector():
            yield strike
        assert strike.was_run
        if strike.was_lit and not strike.was_delivered:
            first, last = strike.number + 1, None  # it struck in a finalizer, of which Python drops what is raised
            lost += 1
            assert lost < MOST_LOST, "interrupts are made pending, and are not delivered"
            continue
        lost = 0
        if strike.place is not None:
            first, last = strike.number, strike.place
        elif last is not None and not strike.was_lit:
            first, last = first + 1, None  # the way was another this time
        else:
            return


@contextlib.contextmanager
def no_callbacks_of_the_collector() -> Iterator[None]:
    """Keep Hypothesis' callback out: what strikes in Python that the collector calls is dropped by the interpreter."""
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    try:
        yield
    finally:
        gc.callbacks[:] = callbacks


def _be_struck() -> None:
    """Let strike what is pending: the beginning of a function is a place."""


# ---- how one is made pending: by the end of an object, in C alone, so that it does not strike in here. In the main
# thread by a signal: ``PyThreadState_SetAsyncExc`` may miss a thread after the system had no more threads for it, since
# what was to be the new one goes by the number of the one that asked.


def _fuse(thread: int) -> object:
    return type("Fuse", (), {"__del__": staticmethod(functools.partial(_raise_in, thread, Struck))})()


def _signal_fuse() -> object:
    return type("Fuse", (), {"__del__": staticmethod(functools.partial(_thread.interrupt_main))})()


# ---- how the instructions are watched: no more of them once it is pending, or it would strike in the watcher

if sys.version_info >= (3, 12):
    _monitoring: Any = sys.monitoring
    _TOOL = 4

    class _Watch:
        def __init__(self, strike: Strike) -> None:
            self._strike = strike
            self._thread = threading.get_ident()
            self._codes: set[CodeType] = set()

        def start(self) -> None:
            _monitoring.use_tool_id(_TOOL, "interrupts")
            events = _monitoring.events
            _monitoring.register_callback(_TOOL, events.PY_START, self._begin)
            _monitoring.register_callback(_TOOL, events.PY_RESUME, self._begin)
            _monitoring.register_callback(_TOOL, events.INSTRUCTION, self._pass_by)
            _monitoring.set_events(_TOOL, events.PY_START | events.PY_RESUME)

        def _begin(self, code: CodeType, _offset: int) -> None:
            if threading.get_ident() == self._thread and code not in self._codes and self._strike.counts(code):
                self._codes.add(code)
                _monitoring.set_local_events(_TOOL, code, _monitoring.events.INSTRUCTION)

        def _pass_by(self, code: CodeType, offset: int) -> None:
            if threading.get_ident() != self._thread:
                return
            fuse = self._strike.pass_by(code, offset)
            if fuse is not None:
                for event in (
                    _monitoring.events.PY_START,
                    _monitoring.events.PY_RESUME,
                    _monitoring.events.INSTRUCTION,
                ):
                    _monitoring.register_callback(_TOOL, event, None)

        def stop(self) -> None:
            _monitoring.set_events(_TOOL, 0)
            for code in self._codes:
                _monitoring.set_local_events(_TOOL, code, 0)
            for event in (_monitoring.events.PY_START, _monitoring.events.PY_RESUME, _monitoring.events.INSTRUCTION):
                _monitoring.register_callback(_TOOL, event, None)
            _monitoring.free_tool_id(_TOOL)

else:

    class _Watch:
        def __init__(self, strike: Strike) -> None:
            self._strike = strike
            self._before = sys.gettrace()

        def start(self) -> None:
            sys.settrace(self._begin)

        def _begin(self, frame: FrameType, _event: str, _arg: object) -> Any:
            if not self._strike.counts(frame.f_code):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            return self._step

        def _step(self, frame: FrameType, event: str, _arg: object) -> Any:
            if event == "opcode":
                fuse = self._strike.pass_by(frame.f_code, frame.f_lasti)
                if fuse is not None:
                    sys.settrace(None)
            return self._step

        def stop(self) -> None:
            sys.settrace(self._before)
