"""One client of ``scripts/bench`` that listens, in a process of its own; prints its figures as one line of JSON.

``python listening.py '{"job": "hear", "name": "ours", "url": "ws://...", "count": 20000}'``. The jobs:

  hear   CPU time of the process for each event of streaming speech to text, from the socket to the consumer's hands
  feed   the same for each frame of 100 ms (3,200 bytes) that is sent; by hand in the thread that calls, and, of ours
         alone, by ``feed()``, whose thread takes it from an iterable
  paced  the same at the pace of speech, ten frames a second in each of fifty sessions
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

from server import EVENTS_HEADER

FRAME = bytes(range(256)) * 12 + bytes(128)
SETTINGS: dict[str, Any] = {"model": "ink-2", "encoding": "pcm_s16le", "sample_rate": 16000}
GO: Any = {"type": "config", "turn": {"end_threshold": 0.2}}
WARM = 200
BURST, PAUSE = 10, 0.004
"""Frames that any socket's buffer takes at once, and seconds in which the server reads them."""

SESSIONS, EVERY_SECONDS = 50, 0.1


def in_bursts(count: int) -> Iterator[bytes]:
    """Give so many frames, and a moment of nothing after every few."""
    for _ in range(count // BURST):
        yield from [FRAME] * BURST
        time.sleep(PAUSE)  # as above


def cpu_of(work: Callable[[], object]) -> float:
    """Return the seconds that this process computes meanwhile, in all its threads."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


class Sync:
    """A client whose sessions are iterated and fed in threads."""

    def __init__(self, package: Any, url: str) -> None:
        self._client = package.Cartesia(api_key="bench", base_url="http" + url[2:])

    def open(self, events: int) -> Any:
        headers = {EVENTS_HEADER: str(events)}
        return self._client.stt.auto_finalize.websocket(**SETTINGS, extra_headers=headers)

    def hear(self, count: int) -> float:
        """Return the seconds for so many events."""
        with self.open(count) as session:
            events = iter(session)
            session.send_raw(FRAME)  # so that what is loaded with the first is not counted
            for _ in range(WARM):
                next(events)
            heard = [0]

            def hear_all() -> None:
                session.send(GO)
                for event in events:
                    if event.type == "turn.end":
                        return
                    heard[0] += len(event.transcript)

            seconds = cpu_of(hear_all)
            if not heard[0]:
                raise AssertionError("nothing was heard")
            session.send({"type": "close"})
        return seconds

    def feed(self, count: int) -> float:
        """Return the seconds for so many frames."""
        with self.open(0) as session:
            for _ in range(WARM):
                session.send_raw(FRAME)

            def feed_all() -> None:
                for _ in range(count // BURST):
                    for _ in range(BURST):
                        session.send_raw(FRAME)
                    time.sleep(PAUSE)  # or the server's speed would be measured: nothing waits for it in truth

            seconds = cpu_of(feed_all)
            session.send({"type": "close"})
            for _ in session:
                pass
        return seconds

    def paced(self, count: int) -> float:
        """Return the seconds for so many frames in each of many sessions, at the pace of speech."""
        sessions = [self.open(0).enter() for _ in range(SESSIONS)]
        for session in sessions:
            session.send_raw(FRAME)
        threads = [threading.Thread(target=self.feed_paced, args=(session, count)) for session in sessions]

        def feed_all() -> None:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        seconds = cpu_of(feed_all)
        for session in sessions:
            session.send({"type": "close"})
            for _ in session:
                pass
            session.close()
        return seconds

    def feed_paced(self, session: Any, count: int) -> None:
        """Send by hand, as the official examples do."""
        due = time.monotonic()
        for _ in range(count):
            session.send_raw(FRAME)
            due += EVERY_SECONDS
            time.sleep(max(due - time.monotonic(), 0))  # the pace of speech


class OurFeed(Sync):
    """Ours, by ``feed()``."""

    def feed(self, count: int) -> float:
        with self.open(0) as session:
            session.feed([FRAME] * WARM, realtime=False, then=None).wait()
            seconds = cpu_of(lambda: session.feed(in_bursts(count), realtime=False, then=None).wait())
            session.send({"type": "close"})
            for _ in session:
                pass
        return seconds

    def feed_paced(self, session: Any, count: int) -> None:
        session.feed([FRAME] * count, then=None).wait()


class Async:
    """The official async client, whose sessions are iterated and fed in tasks."""

    def __init__(self, package: Any, url: str) -> None:
        self._client = package.AsyncCartesia(api_key="bench", base_url="http" + url[2:])

    def open(self, events: int) -> Any:
        headers = {EVENTS_HEADER: str(events)}
        return self._client.stt.auto_finalize.websocket(**SETTINGS, extra_headers=headers)

    def hear(self, count: int) -> float:
        return asyncio.run(self._hear(count))

    async def _hear(self, count: int) -> float:
        async with self.open(count) as session:
            events = session.__aiter__()
            for _ in range(WARM):
                await events.__anext__()
            before = resource.getrusage(resource.RUSAGE_SELF)
            await session.send(GO)
            heard = 0
            async for event in events:
                if event.type == "turn.end":
                    break
                heard += len(event.transcript)
            after = resource.getrusage(resource.RUSAGE_SELF)
            if not heard:
                raise AssertionError("nothing was heard")
            await session.send({"type": "close"})
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    def feed(self, count: int) -> float:
        return asyncio.run(self._feed(count))

    async def _feed(self, count: int) -> float:
        async with self.open(0) as session:
            for _ in range(WARM):
                await session.send_raw(FRAME)
            before = resource.getrusage(resource.RUSAGE_SELF)
            for _ in range(count // BURST):
                for _ in range(BURST):
                    await session.send_raw(FRAME)
                await asyncio.sleep(PAUSE)
            after = resource.getrusage(resource.RUSAGE_SELF)
            await session.send({"type": "close"})
            async for _ in session:
                pass
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    def paced(self, count: int) -> float:
        return asyncio.run(self._paced(count))

    async def _paced(self, count: int) -> float:
        sessions = [await self.open(0).enter() for _ in range(SESSIONS)]

        for session in sessions:
            await session.send_raw(FRAME)

        async def feed(session: Any) -> None:
            due = time.monotonic()
            for _ in range(count):
                await session.send_raw(FRAME)
                due += EVERY_SECONDS
                await asyncio.sleep(max(due - time.monotonic(), 0))

        before = resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.gather(*map(feed, sessions))
        after = resource.getrusage(resource.RUSAGE_SELF)
        for session in sessions:
            await session.close()
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def client(name: str, url: str) -> Any:
    if name in ("ours", "ours_feed"):
        import cartesia_sync

        return (Sync if name == "ours" else OurFeed)(cartesia_sync, url)
    import cartesia

    return (Sync if name == "sync" else Async)(cartesia, url)


def main() -> None:
    call = json.loads(sys.argv[1])
    count, job = call["count"], call["job"]
    seconds = getattr(client(call["name"], call["url"]), job)(count)
    print(json.dumps({"cpu_us": seconds / count / (SESSIONS if job == "paced" else 1) * 1e6}))


main()
