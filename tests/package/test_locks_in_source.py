"""What the source must not hold, so that an interrupt leaves no lock taken, wherever it strikes (see locks.py).

``with`` over C code alone gives a lock back whatever is raised, on Python 3.10 and newer. With certain loops in it 3.13
does not: where the jump back to a loop's beginning depends on a condition, it lies outside of the block (cpython
gh-130279), and what strikes there runs past ``with`` and ``finally``: in ``while CONDITION:``, and in a ``for``
whose body ends with an ``if`` that may do nothing. ``while True:``, and a ``for`` that ends with anything else, may be.

Locks that are taken by hand, and what the library builds of them in Python, leak on all versions.
"""

from __future__ import annotations

import ast
import dis
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import cartesia_sync

PACKAGE = Path(cartesia_sync.__file__).parent
FILES = [
    path for room in ("limits", "streaming", "transport", "pool") for path in sorted((PACKAGE / room).rglob("*.py"))
]
NAMES = [path.relative_to(PACKAGE).as_posix() for path in FILES]
TREES = {name: ast.parse(path.read_bytes()) for name, path in zip(NAMES, FILES)}

MAKERS = {"Lock", "RLock", "TimedLock"}

BUILT_OF_LOCKS = {
    "threading": {"Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier", "Timer"},
    "queue": {"Queue", "LifoQueue", "PriorityQueue"},
}
"""Each takes a lock by hand, or a ``with`` whose ``__enter__`` is Python."""

ALLOWED = {
    ("streaming/mailbox.py", "queue.Queue"): "the base of a class that takes none of its locks",
}
"""Where one of these may be named all the same, and why."""

NO_LOCKS = {
    ("limits/gate.py", "self.release"): "a slot's, of which a second release does nothing",
    ("limits/gate.py", "ticket.release"): "likewise",
    ("limits/limit.py", "limit.acquire"): "a foreign limit's, which is looked at",
    ("limits/limit.py", "self.gate.acquire"): "gives a slot that nobody can lose",
    ("limits/limit.py", "self.limit.acquire"): "a foreign limit's, called in a thread that nothing interrupts",
    ("limits/limit.py", "self.limit.release"): "likewise",
    ("limits/limit.py", "ticket.release"): "a slot's, of which a second release does nothing",
    ("streaming/connection.py", "self._link.registry.release"): "keeps a channel no longer",
    ("streaming/link.py", "wire.release"): "closes a socket",
    ("streaming/link.py", "slots.acquire"): "gives a slot that nobody can lose",
    ("streaming/reader.py", "wire.release"): "closes a socket",
    ("streaming/slots.py", "self.gate.acquire"): "gives a slot that nobody can lose",
    ("streaming/slots.py", "slot.release"): "a slot's, of which a second release does nothing",
    ("streaming/slots.py", "ticket.release"): "likewise",
    ("transport/http/response.py", "slot.release"): "a slot's, of which a second release does nothing",
    ("transport/http/response.py", "self.release"): "gives an HTTP connection back to its pool",
}
"""What is named like a lock's method, and is none."""

CLOSED_ANYHOW = {
    ("transport/http/response.py", "read_beginning"): "a generator that nobody holds any more is closed by that"
}
"""Which ``with`` may be left by a jump: it holds no lock, and what it is to do is done without it."""


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


# ---- the rules, each giving what breaks it


def locks_of(tree: ast.AST) -> set[str]:
    """Return the names of the attributes and variables in which locks are put."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(each, ast.Call) and _last_name(each.func) in MAKERS for each in ast.walk(node.value)):
                names |= {_last_name(each) for target in targets for each in _parts(target)}
    return names


def _parts(target: ast.expr) -> list[ast.expr]:
    return target.elts if isinstance(target, ast.Tuple) else [target]


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def loops_with_a_condition(tree: ast.AST, locks: set[str]) -> Iterator[tuple[int, str]]:
    """Return the line of each loop with such a jump that stands in a block that must be left in order, and of which."""

    def walk(node: ast.AST, around: str) -> Iterator[tuple[int, str]]:
        if isinstance(node, FUNCTIONS):
            around = ""
        if around and _jumps_on_a_condition(node):
            yield node.lineno, around
        if isinstance(node, ast.With) and any(_is_lock(item.context_expr, locks) for item in node.items):
            inside = f"the `with {', '.join(ast.unparse(item) for item in node.items)}` of line {node.lineno}"
            for statement in node.body:
                yield from walk(statement, inside)
        elif isinstance(node, ast.Try) and node.finalbody:
            inside = f"the `try`/`finally` of line {node.lineno}"
            for each in (*node.body, *node.handlers, *node.orelse):
                yield from walk(each, inside)
            for statement in node.finalbody:
                yield from walk(statement, around)
        else:
            for child in ast.iter_child_nodes(node):
                yield from walk(child, around)

    yield from walk(tree, "")


def _jumps_on_a_condition(node: ast.AST) -> bool:
    """Whether it is a loop that 3.13 leaves a block with."""
    if isinstance(node, ast.While):
        return not (isinstance(node.test, ast.Constant) and node.test.value)
    return isinstance(node, ast.For) and _may_end_by_a_condition(node.body)


def _may_end_by_a_condition(body: list[ast.stmt]) -> bool:
    last = body[-1]
    if isinstance(last, ast.If):
        return not last.orelse or _may_end_by_a_condition(last.body) or _may_end_by_a_condition(last.orelse)
    return isinstance(last, ast.Assert)


def _is_lock(expression: ast.expr, locks: set[str]) -> bool:
    if isinstance(expression, ast.Call):
        return _last_name(expression.func) == "within"
    name = _last_name(expression)
    return name in locks or "lock" in name.lower()


def taken_by_hand(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Return where a lock is taken or given back by its method, called now or later."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("acquire", "release", "acquire_lock", "release_lock"):
            yield node.lineno, ast.unparse(node)


def built_of_locks(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Return where something is named that the library builds of locks, in Python."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in BUILT_OF_LOCKS:
            for alias in node.names:
                if alias.name in BUILT_OF_LOCKS[node.module]:
                    yield node.lineno, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Attribute) and node.attr in BUILT_OF_LOCKS.get(_last_name(node.value), ()):
            yield node.lineno, ast.unparse(node)


def open_jumps(code: CodeType) -> Iterator[tuple[int, str]]:
    """Return the line of each jump backwards that lies outside of a ``with`` block that its target lies in.

    From the table by which this very Python looks for who is to handle an exception. 3.12 has such jumps too, but looks
    for the place where they lead.
    """
    instructions = list(dis.get_instructions(code))
    names = {instruction.offset: instruction.opname for instruction in instructions}
    following = {each.offset: after.opname for each, after in zip(instructions, instructions[1:])}
    parse: Any = dis._parse_exception_table  # type: ignore[attr-defined]  # there is no public one
    blocks = [
        entry
        for entry in parse(code)
        if names[entry.target] == "PUSH_EXC_INFO" and following.get(entry.target) == "WITH_EXCEPT_START"
    ]
    line = code.co_firstlineno
    lines = dict(dis.findlinestarts(code))
    for instruction in instructions:
        line = lines.get(instruction.offset) or line
        if "JUMP_BACKWARD" not in instruction.opname:
            continue
        handlers = {entry.target for entry in blocks if entry.start <= instruction.offset < entry.end}
        for entry in blocks:
            if entry.start <= instruction.argval < entry.end and entry.target not in handlers:
                yield line, code.co_name
                break
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from open_jumps(constant)


# ---- the source keeps them


def told(name: str, found: Iterator[tuple[int, str]]) -> list[str]:
    return [f"cartesia_sync/{name}:{line}: {what}" for line, what in sorted(found)]


@pytest.mark.parametrize("name", NAMES)
def test_no_loop_with_a_condition_stands_in_a_block_that_must_be_left_in_order(name: str) -> None:
    """`while True:` with `break`, and a `for` that does not end with an `if`, may."""
    assert told(name, loops_with_a_condition(TREES[name], locks_of(TREES[name]))) == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a Python without such jumps")
@pytest.mark.parametrize("name", NAMES)
def test_no_jump_leaves_a_with_block_on_its_way_back_into_it(name: str) -> None:
    source = PACKAGE / name
    found = open_jumps(compile(source.read_bytes(), str(source), "exec"))
    assert told(name, ((line, what) for line, what in found if (name, what) not in CLOSED_ANYHOW)) == []


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"transport/locks.py"}))
def test_no_lock_is_taken_or_given_back_by_hand(name: str) -> None:
    found = taken_by_hand(TREES[name])
    assert told(name, ((line, what) for line, what in found if (name, what) not in NO_LOCKS)) == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_used_that_the_library_builds_of_locks(name: str) -> None:
    found = ((line, what) for line, what in built_of_locks(TREES[name]) if (name, what) not in ALLOWED)
    assert told(name, found) == []


def test_what_is_allowed_is_needed() -> None:
    assert set(ALLOWED) <= {(name, what) for name in NAMES for _, what in built_of_locks(TREES[name])}
    assert set(NO_LOCKS) <= {(name, what) for name in NAMES for _, what in taken_by_hand(TREES[name])}


# ---- and the rules find what breaks them

BROKEN = """
def of_a_lock(self):
    with self._state_lock:
        while self.items:
            self.items.pop()

def of_a_lock_by_another_name(self):
    self._taking = TimedLock()
    with self._turn, self._taking:
        for item in self.items:
            while item.left > 0:
                item.step()

def of_a_timed_lock(self):
    with self.door.within(1.0) as is_ours:
        while not is_ours:
            pass

def of_a_finally(self):
    try:
        while self.left:
            self.step()
    except OSError:
        while self.more:
            self.step()
    finally:
        self.end()

def of_a_for(self):
    with self._state_lock:
        for item in self.items:
            if item.left:
                item.step()

def of_a_for_with_more(self):
    with self._state_lock:
        for item in self.items:
            if item.left:
                item.step()
            elif item.more:
                item.end()

def of_a_for_that_breaks(self):
    with self._state_lock:
        for item in self.items:
            item.step()
            if item.left:
                break
"""

KEPT = """
def of_a_lock(self):
    with self._state_lock:
        while True:
            if not self.items:
                break
            for item in self.items:
                if item.left:
                    continue
                item.step()
            for item in self.items:
                if item.left:
                    item.step()
                else:
                    item.end()

def outside(self):
    while self.left:
        with self._state_lock:
            self.step()
        try:
            self.step()
        finally:
            self.end()

def in_a_function_of_its_own(self):
    with self._state_lock:
        def step():
            while self.left:
                self.step()
        self.later = step

def of_no_lock(self):
    with open("file") as file:
        while file.read(1):
            pass

def in_the_finally_itself(self):
    try:
        self.step()
    finally:
        while self.left:
            self.end()
"""


def test_loops_that_break_the_rule_are_found_and_no_others() -> None:
    broken, kept = ast.parse(BROKEN), ast.parse(KEPT)
    assert [line for line, _ in loops_with_a_condition(broken, locks_of(broken))] == [4, 11, 16, 21, 24, 31, 37, 45]
    assert list(loops_with_a_condition(kept, locks_of(kept))) == []


@pytest.mark.skipif(sys.version_info[:2] not in ((3, 12), (3, 13)), reason="a Python without such jumps")
def test_jumps_that_break_the_rule_are_found_where_python_makes_them() -> None:
    found = {name for _, name in open_jumps(compile(BROKEN, "broken", "exec"))}
    functions = {node.name for node in ast.walk(ast.parse(BROKEN)) if isinstance(node, ast.FunctionDef)}
    assert found == functions - {"of_a_finally"}
    assert {name for _, name in open_jumps(compile(KEPT, "kept", "exec"))} <= {"of_no_lock"}


def test_locks_that_are_taken_by_hand_are_found() -> None:
    source = "lock.acquire()\ntry: pass\nfinally: self.lock.release()\nenter = partial(lock.acquire, True)"
    assert sorted(line for line, _ in taken_by_hand(ast.parse(source))) == [1, 3, 4]


def test_what_is_built_of_locks_is_found() -> None:
    source = "from queue import Queue, SimpleQueue\nx = threading.Event()\ny = queue.SimpleQueue()\nz = queue.LifoQueue"
    found = [what for _, what in sorted(built_of_locks(ast.parse(source)))]
    assert found == ["queue.Queue", "threading.Event", "queue.LifoQueue"]
