"""One client of ``scripts/bench``, in a process of its own: does one job, and prints its figures as one line of JSON.

Each client is used as its users use it: this package with one plain thread a context, the official package's sync
client with one context after the other, its async client with one task a context. The floor is websocket-client's
frames over a buffered socket, and this package's decoding, in a bare loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import resource
import ssl
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any, Callable

from server import STAMP_BYTES, order

VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
FORMAT = {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100}
HOW: dict[str, Any] = {"model_id": "sonic-latest", "voice": VOICE, "output_format": FORMAT}
NO_LIMIT = 1 << 30
"""Of queued bytes: the official clients have none, and a server that sends all at once may be far ahead."""

# ---- how each client is used

Take = Callable[[int, bytes], None]
"""Called by a consumer with its context's number and the audio, as soon as it has them."""


@contextlib.contextmanager
def in_threads(work: Callable[[int], None], numbers: Iterable[int]) -> Iterator[None]:
    """Do work in a thread for each number, meanwhile and until all are done."""
    threads = [threading.Thread(target=work, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def hear_alone(connection: Any, number: int, text: str, take: Take) -> None:
    """Speak one context on a connection of its own: no others belong together with it."""
    context = connection.context(**HOW)
    context.push(json.dumps({**json.loads(text), "together": 1}))
    for event in context.receive():
        if event.type == "chunk":
            take(number, event.audio)


class Ours:
    """This package: one plain thread a context."""

    def __init__(self, url: str) -> None:
        import cartesia_sync

        client = cartesia_sync.Cartesia(api_key="bench", base_url="http" + url[2:])
        self._manager = client.tts.websocket_connect(max_queued_bytes=NO_LIMIT)

    def __enter__(self) -> Ours:
        self._connection = self._manager.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def speak(self, count: int, text: str, take: Take, sleepers: int = 0) -> None:
        """Speak contexts that belong together; the first few have a consumer that is asleep until all others end."""
        awake = threading.Event()

        def consume(number: int) -> None:
            context = self._connection.context(**HOW, max_queued_bytes=NO_LIMIT)
            context.push(text)
            if number < sleepers:
                awake.wait()
            for event in context.receive():
                if event.type == "chunk":
                    take(number, event.audio)

        if count == 1:
            consume(0)  # on the thread that is there
            return
        with in_threads(consume, range(sleepers)):
            with in_threads(consume, range(sleepers, count)):
                pass
            awake.set()


class OursApart(Ours):
    """This package, with a connection for each thread."""

    def speak(self, count: int, text: str, take: Take, sleepers: int = 0) -> None:
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(self._manager.enter()) for _ in range(count)]
            with in_threads(lambda number: hear_alone(connections[number], number, text, take), range(count)):
                pass


class OursInOneThread(Ours):
    """This package, with one thread that receives from all contexts."""

    def speak_by_hand(self, count: int, text: str, take: Take) -> None:
        """Speak contexts at once, and let one thread read what comes for all of them."""
        contexts = [self._connection.context(**HOW, max_queued_bytes=NO_LIMIT) for _ in range(count)]
        numbers = {context: number for number, context in enumerate(contexts)}
        for context in contexts:
            context.push(text)
        for context, event in self._connection.receive_any(*contexts):
            if event.type == "chunk":
                take(numbers[context], event.audio)


class OfficialSync:
    """The official sync client: contexts one after the other, since two threads cannot receive at once."""

    def __init__(self, url: str) -> None:
        import cartesia

        self._client = cartesia.Cartesia(api_key="bench", websocket_base_url=url)

    def __enter__(self) -> OfficialSync:
        self._connection: Any = self._client.tts.websocket_connect().enter()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def speak(self, count: int, text: str, take: Take, sleepers: int = 0) -> None:
        for number in range(count):
            hear_alone(self._connection, number, text, take)

    def speak_by_hand(self, count: int, text: str, take: Take) -> None:
        """Speak contexts at once, and let one thread read what comes for all of them."""
        numbers = {}
        for number in range(count):
            context = self._connection.context(**HOW)
            context.push(text)
            numbers[context._context_id] = number
        left = count
        while left:
            event = self._connection.recv()
            if event.type == "chunk":
                take(numbers[event.context_id], event.audio)
            left -= event.type == "done"


class OfficialSyncApart(OfficialSync):
    """The official sync client with a connection for each thread: the one way in which its threads receive at once."""

    def speak(self, count: int, text: str, take: Take, sleepers: int = 0) -> None:
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(self._client.tts.websocket_connect()) for _ in range(count)]
            with in_threads(lambda number: hear_alone(connections[number], number, text, take), range(count)):
                pass


class OfficialAsync:
    """The official async client, one task a context."""

    def __init__(self, url: str) -> None:
        import cartesia

        self._client = cartesia.AsyncCartesia(api_key="bench", websocket_base_url=url)
        self._runner = _Loop()

    def __enter__(self) -> OfficialAsync:
        self._connection: Any = self._runner.run(self._client.tts.websocket_connect().__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()

    def speak(self, count: int, text: str, take: Take, sleepers: int = 0) -> None:
        self._runner.run(self._speak(count, text, take, sleepers))

    async def _speak(self, count: int, text: str, take: Take, sleepers: int) -> None:
        awake = asyncio.Event()

        async def consume(number: int) -> None:
            context = self._connection.context(**HOW)
            await context.push(text)
            if number < sleepers:
                await awake.wait()
            async for event in context.receive():
                if event.type == "chunk":
                    take(number, event.audio)

        asleep = asyncio.gather(*(consume(number) for number in range(sleepers)))
        await asyncio.gather(*(consume(number) for number in range(sleepers, count)))
        awake.set()
        await asleep


class OfficialAsyncInThreads(OfficialAsync):
    """The official async client, handing on what it hears to a plain thread a context, by a queue for each."""

    def speak(self, count: int, text: str, take: Take, sleepers: int = 0) -> None:
        queues: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(count)]

        def consume(number: int) -> None:
            for audio in iter(queues[number].get, None):
                take(number, audio)

        with in_threads(consume, range(count)):
            super().speak(count, text, lambda number, audio: queues[number].put(audio))
            for each in queues:
                each.put(None)


class _Loop:
    """An event loop that is used for several calls; asyncio.Runner is not there before Python 3.11."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        self._loop.close()


class Floor:
    """What cannot be left out: frames, and decoding; no thread, no queue, no context."""

    def __init__(self, url: str) -> None:
        import websocket

        from cartesia_sync.protocol import codec

        self._url, self._decode = url, codec.decode
        self._websocket: Any = websocket  # whose hints are not whole

    def __enter__(self) -> Floor:
        trust = {"context": ssl.create_default_context()} if self._url.startswith("wss") else None
        self._socket = self._websocket.create_connection(self._url, sslopt=trust)
        file = self._socket.sock.makefile("rb", 1 << 16)
        self._frames = self._websocket.frame_buffer(file.read, skip_utf8_validation=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown()

    def speak(self, count: int, text: str, take: Take, sleepers: int = 0) -> None:
        for number in range(count):
            self._socket.send(json.dumps({"context_id": str(number), "transcript": text}))
        left = count
        while left:
            event = self._decode(self._frames.recv_frame().data)
            if event.type == "chunk":
                take(0, event.audio)
            left -= event.type == "done"


CLIENTS: dict[str, Any] = {
    "ours": Ours,
    "ours_one": OursInOneThread,
    "ours_apart": OursApart,
    "sync": OfficialSync,
    "sync_apart": OfficialSyncApart,
    "async": OfficialAsync,
    "async_threads": OfficialAsyncInThreads,
    "floor": Floor,
}

# ---- the jobs


def cost(name: str, url: str, contexts: int, groups: int, chunks: int, audio_bytes: int) -> dict[str, float]:
    """Hear all that a server can send, after a warm-up; count this process's time. One group follows the other."""
    heard = [0] * contexts

    def take(number: int, audio: bytes) -> None:
        heard[number] += len(audio)

    with CLIENTS[name](url) as client:
        warm = min(contexts, 8)
        client.speak(warm, order(50, audio_bytes, warm), take)
        heard = [0] * contexts
        before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        for _ in range(groups):
            client.speak(contexts, order(chunks, audio_bytes, contexts), take)
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    if sum(heard) != groups * contexts * chunks * audio_bytes:
        raise AssertionError(f"{name} heard {sum(heard)} bytes of {groups * contexts * chunks * audio_bytes}")
    frames = groups * contexts * (chunks + 1)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {
        "cpu_us": cpu / frames * 1e6,
        "wall_us": wall / frames * 1e6,
        "frames_per_s": frames / wall,
        "switches": (after.ru_nvcsw - before.ru_nvcsw + after.ru_nivcsw - before.ru_nivcsw) / frames,
        "peak_mib": after.ru_maxrss / 1024,
    }


def latency(name: str, url: str, contexts: int, seconds: float, beside: str) -> dict[str, float]:
    """Time each chunk from the server's send to the consumer's hands; both read one clock of the system's."""
    every_ms, audio_bytes = 50.0, 4096
    sleepers = 1 if beside == "sleeper" else 0
    late_ns: list[int] = []

    def take(number: int, audio: bytes) -> None:
        if number >= sleepers:
            late_ns.append(time.monotonic_ns() - int.from_bytes(audio[:STAMP_BYTES], "big"))

    text = order(int(seconds * 1000 / every_ms), audio_bytes, contexts, every_ms)
    with CLIENTS[name](url) as client, busy_thread() if beside == "busy" else contextlib.nullcontext():
        client.speak(8, order(4, audio_bytes, 8, every_ms), lambda number, audio: None)
        if name in ("sync", "ours_one"):
            client.speak_by_hand(contexts, text, take)
        else:
            client.speak(contexts, text, take, sleepers)
    late_ns.sort()
    return {
        "p50_ms": late_ns[len(late_ns) // 2] / 1e6,
        "p99_ms": late_ns[len(late_ns) * 99 // 100] / 1e6,
        "max_ms": late_ns[-1] / 1e6,
    }


@contextlib.contextmanager
def busy_thread() -> Iterator[None]:
    """Let a thread compute in Python meanwhile, and want the interpreter all the time."""
    is_over = False

    def compute() -> None:
        number = 0
        while not is_over:
            number = (number * 31 + 7) % 1_000_003

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        is_over = True
        thread.join()


def first_audio(name: str, url: str, times: int) -> dict[str, float]:
    """Time from the push to the first chunk in hand; on a warm connection, and with all that is before a push."""
    at = 0.0

    def take(number: int, audio: bytes) -> None:
        nonlocal at
        at = at or time.perf_counter()

    def speak(client: Any) -> None:
        nonlocal at
        at = 0.0
        client.speak(1, order(1, 4096), take)

    from_nothing, warm = [], []
    for _ in range(max(times // 10, 2)):
        begun = time.perf_counter()
        with CLIENTS[name](url) as client:
            speak(client)
            from_nothing.append(at - begun)
    with CLIENTS[name](url) as client:
        for _ in range(times):
            begun = time.perf_counter()
            speak(client)
            warm.append(at - begun)
    return {
        "warm_ms": statistics.median(warm[len(warm) // 10 :]) * 1e3,
        "from_nothing_ms": statistics.median(from_nothing[1:]) * 1e3,  # the first one imports
    }


def memory(url: str, contexts: int) -> dict[str, float]:
    """Count what this package holds for audio that nobody has taken, for idle contexts, and its idle threads."""
    from server import chunk

    from cartesia_sync.protocol import codec
    from cartesia_sync.streaming.channel import Channel
    from cartesia_sync.streaming.mailbox import arrived

    found: dict[str, float] = {}
    for audio_bytes in (4096, 16384):
        frames = [chunk("6ccbfb76-1fc6-48f7-b71d-91ac6298247b", audio_bytes)[4:] for _ in range(500)]
        channel = Channel("6ccbfb76-1fc6-48f7-b71d-91ac6298247b", limit_bytes=1 << 30)
        with _counting() as count:
            for frame in frames:
                channel.deliver([arrived(codec.decode(frame), len(frame))])
        found[f"queued_ratio_{audio_bytes}"] = count() / (len(frames) * audio_bytes)
    threads = threading.active_count()
    with Ours(url) as client:
        found["idle_threads"] = threading.active_count() - threads
        text, held = order(1, 1, contexts + 1), []
        client._connection.context(**HOW).cancel()  # what is made once is made
        with _counting() as count:
            for _ in range(contexts):
                held.append(client._connection.context(**HOW))
                held[-1].push(text)
        found["idle_context_bytes"] = count() / contexts
    return found


@contextlib.contextmanager
def _counting() -> Iterator[Callable[[], int]]:
    """Return what tells, after the block, how many bytes were allocated in it and are still held."""
    held = 0
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield lambda: held
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


JOBS: dict[str, Callable[..., dict[str, float]]] = {job.__name__: job for job in (cost, latency, first_audio, memory)}

if __name__ == "__main__":
    call = json.loads(sys.argv[1])
    print(json.dumps(JOBS[call.pop("job")](**call)))
