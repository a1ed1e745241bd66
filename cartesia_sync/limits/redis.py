"""A limit of all machines that use one Redis: leases that run out, by its clock."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import random
import re
import time
import uuid
import weakref
from typing import Any, Literal, Optional

from ..errors import LimitError, LimitUnreachableError
from .limit import Limit, checked_count
from .worker import Worker

LOOK = 0.02
"""Seconds after which whoever is first in the queue asks again; the second asks after twice as long, and so on."""

LONGEST_LOOK = 5.0
JITTER = 0.3
PATIENCE = 1.0
"""Seconds, beyond twice its interval, after which one in the queue that does not ask is passed by."""

LONGEST_GOODBYE = 1.0
"""Seconds that the end of a process waits for the server at most."""

log = logging.getLogger("cartesia_sync")

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"

_TAKE = (
    _NOW
    + """
local leases, queue, seen, facts = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, most, lease, look, longest, patience = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], ARGV[6]
redis.call('ZREMRANGEBYSCORE', leases, '-inf', now)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', now)) do
  redis.call('ZREM', queue, gone) redis.call('ZREM', seen, gone)
end
local taken, waiting = redis.call('ZCARD', leases), redis.call('ZCARD', queue)
local theirs = tonumber(redis.call('HGET', facts, 'most') or most)
if theirs ~= most and taken + waiting > 0 then return {-1, theirs} end
if redis.call('ZSCORE', leases, id) then return {1, 0} end
local place = redis.call('ZRANK', queue, id)
local free = math.max(most - taken, 0)
redis.call('HSET', facts, 'most', most)
if (place or waiting) < free then
  redis.call('ZREM', queue, id) redis.call('ZREM', seen, id)
  redis.call('ZADD', leases, now + lease, id)
else
  if not place then redis.call('ZADD', queue, redis.call('HINCRBY', facts, 'asked', 1), id) end
  look = math.min(((place or waiting) - free + 1) * look, longest)
  redis.call('ZADD', seen, now + 2.6 * look + patience, id)
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, math.floor(math.max(lease, 3 * longest + patience))) end
if (place or waiting) < free then return {1, 0} end
return {0, look}
"""
)
"""Take a lease if it is this one's turn, else join the queue or stay in it: {1, 0}; {0, milliseconds to wait}.

{-1, number} says that others use the limit with that number.
"""

_RENEW = (
    _NOW
    + """
local lost = 0
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 3, #ARGV do lost = lost + redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return {lost, redis.call('ZCARD', KEYS[1]) - ARGV[2]}
"""
)
"""Renew leases; how many the server did not know, and how many there are too many."""

_GIVE = "for _, key in ipairs(KEYS) do redis.call('ZREM', key, unpack(ARGV)) end"
"""Give back leases and places in the queue."""


class Redis(Limit):
    """So many slots for all that use the same Redis under the same name.

    First come, first served. A slot is a lease, which one thread a process renews while it is held. A process that ends
    gives its slots back; those of one that is killed come back when their leases have run out. The clocks of the
    processes do not matter. Where the server has lost its data, the next renewals fill it again, and until then there
    may be more slots in use than there are: ``excess`` counts them, and the log says so. What has a slot is never ended
    by any of this.

    Args:
        url: Where it is, as redis-py takes it: ``redis://``, ``rediss://`` or ``unix://``. Redis 5 or newer.
        most: How many slots there are. All processes give the same number.
        lease: Seconds after which a slot comes back that nobody renews; the server is given a third of it to answer.
        on_unreachable: What to do where the server does not answer: "refuse" raises ``LimitUnreachableError`` in those
            who wait; "local" gives every process ``most`` slots of its own meanwhile.
        name: What tells the accounts apart in one Redis. None: a client gives it a name that derives from its key, by
            which nobody can learn the key; used without one, "default".

    Attributes:
        excess: How many slots too many were in use, at the last renewal.
        lost: How many leases the server did not know when they were to be renewed, all in all.

    Raises:
        ValueError: An argument is none of these.
        ImportError: redis-py is not installed: the extra [redis] has it.

    Threads and processes: any. Nobody's thread waits for the server but the limit's own.
    """

    def __init__(
        self,
        url: str,
        most: int,
        *,
        lease: float = 30.0,
        on_unreachable: Literal["refuse", "local"] = "refuse",
        name: Optional[str] = None,
    ) -> None:
        most = checked_count("Redis()", most)
        if not 0.1 <= lease <= 86400:
            raise ValueError(f"lease must be from 0.1 to 86400 seconds, not {lease!r}")
        if on_unreachable not in ("refuse", "local"):
            raise ValueError(f'on_unreachable must be "refuse" or "local", not {on_unreachable!r}')
        self._leases = _Leases(url, most, lease, on_unreachable == "local")
        self._given = {"url": url, "lease": lease, "on_unreachable": on_unreachable}
        super().__init__(most, source=self._leases)
        if name is not None:
            self.bind(name)

    def _arguments(self) -> dict[str, Any]:
        return {**self._given, "most": self._width.most, "name": self._leases.name}

    @property
    def needs_name(self) -> bool:
        """Whether it has no name yet."""
        return self._leases.name is None

    def bind(self, name: str) -> None:
        """Give the limit a name, where it has none; see ``name=``."""
        if not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", name):
            raise ValueError(f"a limit's name is of letters, digits, '.', '_', ':' and '-', not {name!r}")
        if self._leases.name is None:
            self._leases.name = name

    @property
    def name(self) -> str:
        """The name by which other processes know it."""
        return self._leases.name or "default"

    @property
    def excess(self) -> int:
        """How many slots too many were in use, at the last renewal."""
        return self._leases.excess

    @property
    def lost(self) -> int:
        """How many leases the server did not know when they were to be renewed, all in all."""
        return self._leases.lost

    def __repr__(self) -> str:
        return f"<Redis {self.name!r} at {self._leases.address}, {self.gate!r}>"


def _redis() -> Any:
    try:
        import redis
    except ImportError as error:
        raise ImportError("Redis() needs redis-py: pip install 'cartesia-sync[redis]'") from error
    return redis


class _Process:
    """What one process has of the limit: a client, and the leases to renew."""

    def __init__(self, leases: _Leases) -> None:
        client = leases.connect()
        self.take = client.register_script(_TAKE)
        self.renew = client.register_script(_RENEW)
        self.give = client.register_script(_GIVE)
        self.held: dict[str, None] = {}
        self.returning: dict[str, None] = {}
        self.unreturned: dict[str, None] = {}  # the server was not there to take them back
        self.ticket = ""
        self.next_look = 0.0
        self.next_renewal = 0.0
        self.away_until = 0.0  # the server did not answer; not asked by those who can do without
        self.renewer = Worker(lambda: leases.renew(self), "renew")
        # Held by this, its sockets are not the collector's, which would find them open.
        weakref.finalize(self, client.close).atexit = False


class _Leases:
    """The slots as the gate sees them. All calls of the server are made by threads of the limit."""

    is_local = False

    def __init__(self, url: str, most: int, lease: float, may_go_on: bool) -> None:
        self._url = url
        self._most = most
        self._lease = lease
        self._may_go_on = may_go_on
        self.name: Optional[str] = None
        self.excess = 0
        self.lost = 0
        self._by_process: dict[int, _Process] = {}
        self.address = _address(self.connect())
        _remember(self)

    def connect(self, seconds: Optional[float] = None) -> Any:
        """Make a client; it connects when it is used, and gives the server so many seconds."""
        if seconds is None:
            seconds = self._lease / 3  # redis-py has no bound of its own, and a frozen server would hold us for ever
        redis = _redis()
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        try:
            client = redis.Redis.from_url(
                self._url,
                protocol=2,  # which asks the server for nothing more when it connects
                socket_timeout=seconds,
                socket_connect_timeout=seconds,
                retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),  # a server that has restarted
            )
        except (ValueError, TypeError, AttributeError):
            client = None  # not what it says: a part of a password may stand in it
        if client is None:
            raise ValueError("Redis() needs a URL such as redis://127.0.0.1:6379/0; this one cannot be read")
        return client

    def take_now(self) -> None:
        """Take nothing: the server may be slow."""

    def take(self, timeout: float) -> Optional[str]:
        """Be in the queue, and take a lease when it is our turn. Threads: the gate's one."""
        process = self._process()
        if not process.ticket:
            process.ticket = f"{os.getpid()}-{uuid.uuid4().hex}"
            process.next_look = 0.0
        end = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            if timeout and process.next_look > now:
                _nap(min(process.next_look, end) - now)
                if process.next_look > end:
                    return None
            state, number = self._ask(process)
            if state == 1:
                return self._keep(process)
            if state < 0:
                process.ticket = ""
                raise LimitError(
                    f"The limit {self.name or 'default'!r} at {self.address} is in use by other processes with "
                    f"{number} slots, and here with {self._most}: give the same number everywhere, or another name"
                )
            process.next_look = time.monotonic() + number / 1000 * random.uniform(1 - JITTER, 1 + JITTER)
            if process.next_look > end:
                return None

    def _ask(self, process: _Process) -> tuple[int, int]:
        if self._may_go_on and process.away_until > time.monotonic():
            return 1, 0
        redis = _redis()
        durations = (self._lease, LOOK, LONGEST_LOOK, PATIENCE)
        try:
            state, number = process.take(
                keys=self._keys("leases", "queue", "seen", "facts"),
                args=[process.ticket, self._most, *(int(1000 * seconds) for seconds in durations)],
            )
        except (redis.ConnectionError, redis.TimeoutError) as error:
            if not self._may_go_on:
                process.ticket = ""
                raise LimitUnreachableError(
                    f"The limit's Redis at {self.address} does not answer ({type(error).__name__}); "
                    'on_unreachable="local" would go on without it'
                ) from error
            log.warning("the limit's Redis at %s does not answer; slots are counted here meanwhile", self.address)
            process.away_until = time.monotonic() + self._lease / 3
            return 1, 0
        except redis.RedisError as error:
            process.ticket = ""
            raise LimitError(f"The limit's Redis at {self.address} refused: {error}") from error
        return state, number

    def _keep(self, process: _Process) -> str:
        lease, process.ticket = process.ticket, ""
        if not process.held:
            process.next_renewal = time.monotonic() + self._lease / 3
        process.held[lease] = None
        process.renewer.ring()
        return lease

    def leave(self) -> None:
        """Leave the queue. Threads: the gate's one."""
        process = self._process()
        ticket, process.ticket = process.ticket, ""
        if ticket:
            self._give(process, [ticket])

    def give_back(self, lease: str) -> None:
        """Give a lease back. Threads: the gate's one for this."""
        process = self._process()
        if lease in process.held:
            process.returning[lease] = None
            process.held.pop(lease, None)
            if not process.held:
                process.renewer.ring()  # its thread may end
            self._give(process, [lease])
            process.returning.pop(lease, None)

    def _give(self, process: _Process, ids: list[str]) -> None:
        """Take ids away from the server; where it does not answer, the next renewal does, or they run out."""
        redis = _redis()
        try:
            if process.away_until <= time.monotonic():
                process.give(keys=self._keys("leases", "queue", "seen"), args=ids)
                return
        except redis.RedisError as error:
            log.debug("the limit's Redis did not take back a slot: %s", error)
        if process.held:
            process.unreturned.update(dict.fromkeys(ids))

    def renew(self, process: _Process) -> bool:
        """Wait until the leases are to be renewed, and do it. Threads: the one that renews."""
        held = list(process.held)
        if not held or self._by_process.get(os.getpid()) is not process:
            return False
        seconds = process.next_renewal - time.monotonic()
        if seconds > 0:
            process.renewer.nap(seconds)
            return True
        redis = _redis()
        try:
            lost, excess = process.renew(keys=self._keys("leases"), args=[int(1000 * self._lease), self._most, *held])
            late = [lease for lease in held if lease not in process.held]  # given back meanwhile
            ids = [*process.unreturned, *late]
            process.unreturned.clear()
            process.away_until = 0.0
            if ids:
                process.give(keys=self._keys("leases", "queue", "seen"), args=ids)
        except redis.RedisError as error:
            log.warning("the limit's Redis at %s did not renew %d slots: %s", self.address, len(held), error)
            process.away_until = time.monotonic() + self._lease / 3
            process.next_renewal = time.monotonic() + self._lease / 10
            return True
        process.next_renewal = time.monotonic() + self._lease / 3
        lost = max(lost - len(late), 0)  # the server may have had those back already
        if lost:
            log.warning("the limit's Redis at %s did not know %d slots that are in use", self.address, lost)
        if excess > 0:
            log.warning("%d slots more than the limit's %d are in use", excess, self._most)
        self.lost += lost
        self.excess = max(excess, 0)
        return True

    def leave_at_exit(self) -> None:
        """Give back what this process has, since it ends: others need not wait for the leases to run out."""
        process = self._by_process.get(os.getpid())
        if process is None or process.away_until > time.monotonic():
            return
        ids = [*process.held, *process.returning, *filter(None, [process.ticket])]
        if not ids:
            return
        redis = _redis()
        try:
            with self.connect(min(self._lease / 3, LONGEST_GOODBYE)) as client:
                client.register_script(_GIVE)(keys=self._keys("leases", "queue", "seen"), args=ids)
        except redis.RedisError as error:
            log.debug("the limit's Redis did not take back %d slots: %s", len(ids), error)

    def _process(self) -> _Process:
        """Return what this process has; a forked child begins anew, and gives nothing of its parent's back."""
        number = os.getpid()
        process = self._by_process.get(number)
        if process is None:
            for other in list(self._by_process):
                self._by_process.pop(other, None)
            process = self._by_process.setdefault(number, _Process(self))
        return process

    def _keys(self, *names: str) -> list[str]:
        return [f"{{cartesia-sync:{self.name or 'default'}}}:{name}" for name in names]


_every: dict[int, weakref.ref[_Leases]] = {}
"""By id(). Not a WeakSet: to iterate that is not safe beside a thread that adds."""


def _remember(leases: _Leases) -> None:
    key = id(leases)
    _every[key] = weakref.ref(leases, lambda gone: _forget(key, gone))


def _forget(key: int, gone: weakref.ref[_Leases]) -> None:
    if _every.get(key) is gone:
        _every.pop(key, None)


@atexit.register
def _at_exit() -> None:
    for who in list(_every.values()):
        leases = who()
        if leases is not None:
            leases.leave_at_exit()


def _address(client: Any) -> str:
    """Return where a client connects to, without its credentials."""
    options = client.connection_pool.connection_kwargs
    if "path" in options:
        return f"{options['path']}"
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db', 0)}"


def _nap(seconds: float) -> None:
    """Wait: the server cannot wake us."""
    try:
        queue.SimpleQueue[None]().get(timeout=seconds)
    except queue.Empty:
        return
