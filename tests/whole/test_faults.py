"""What goes wrong, when it goes wrong, and how many are listening: every consumer ends, with the truth."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

import msgspec
import pytest

from cartesia_sync import (
    AuthenticationError,
    Cartesia,
    CartesiaError,
    ContextTimeoutError,
    FirstEventTimeoutError,
    GapTimeoutError,
    InternalServerError,
    ProtocolError,
    Timeout,
    TruncatedError,
    WebSocketConnectionClosedError,
    WriteTimeoutError,
)
from cartesia_sync.local import (
    Binary,
    Close,
    Delay,
    Eof,
    ErrorEvent,
    ExtraFields,
    Fault,
    Garbage,
    Hold,
    InvalidFrame,
    LateFrames,
    LocalServer,
    Refuse,
    Reset,
    Silence,
    StopReading,
    Unfinished,
    UnknownEvent,
)
from cartesia_sync.streaming.connection import Connection
from cartesia_sync.streaming.context import Context
from cartesia_sync.types import Chunk, Error, Event, RawOutputFormatParam, Unknown

BOUND = 20.0
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
FORMAT: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
NAMES = ("Ada", "Benedict", "Cleo", "Dorothea", "Ed", "Florence", "Gus", "Henrietta")
PIECES = [(f"I am {name}. ", "Bye.") for name in NAMES]
SHORT = 0.1
"""A clock that is to run out: nothing will come any more."""
QUICK_PINGS = 0.2
"""For a dead peer, which is found after two of them."""
BIG = "la " * (1 << 20)

BEFORE, BETWEEN, AFTER = "before the first event", "between chunks", "after the last push"
MOMENTS = (BEFORE, BETWEEN, AFTER)
ENDS: dict[str, Fault] = {
    "close 1000": Close(1000, "connection idle timeout"),
    "close 1001": Close(1001, "going away"),
    "close 1011": Close(1011, "internal error"),
    "close 1012": Close(1012, "service restart"),
    "reset": Reset(),
    "eof": Eof(),
    "silence": Silence(),
    "invalid frame": InvalidFrame(),
    "garbage": Garbage(),
    "binary": Binary(),
}
"""The last two are messages that nobody can attribute: any context may lack what was in them."""

moments = pytest.mark.parametrize("moment", MOMENTS)
consumers = pytest.mark.parametrize("count", [1, 8])
ends = pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in ENDS.items()])


@dataclass
class Heard:
    """What one consumer got: events, and then the end."""

    events: list[Event] = field(default_factory=list)
    error: Optional[CartesiaError] = None

    @property
    def audio(self) -> bytes:
        return b"".join(event.audio for event in self.events if isinstance(event, Chunk))

    @property
    def last(self) -> Optional[str]:
        return self.events[-1].type if self.events else None


@dataclass(frozen=True)
class Whole:
    """What one consumer gets when nothing goes wrong."""

    audio: bytes
    frames: int


def hear(context: Context, **clocks: Any) -> Heard:
    heard = Heard()
    try:
        for event in context.receive(**clocks):
            heard.events.append(event)
    except CartesiaError as error:
        heard.error = error
    return heard


def hear_all(contexts: Sequence[Context], ready: threading.Event) -> list[Heard]:
    """Let a thread for each context receive, and the server speak."""
    with ThreadPoolExecutor(len(contexts)) as pool:
        receiving = [pool.submit(hear, context) for context in contexts]
        ready.set()
        return [each.result(BOUND) for each in receiving]


def say(context: Context, pieces: Sequence[str], *, finish: bool) -> None:
    for piece in pieces:
        context.push(piece)
    if finish:
        context.no_more_inputs()


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer(engine="signal", chunk_bytes=1600, expiry=None) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: LocalServer) -> Cartesia:
    return Cartesia(api_key="any", base_url=server.url, timeout=Timeout(connect=BOUND))


def open_context(connection: Connection, context_id: Optional[str] = None, **options: Any) -> Context:
    return connection.context(context_id, voice=VOICE, output_format=FORMAT, max_buffer_delay_ms=0, **options)


@pytest.fixture(scope="module")
def wholes(server: LocalServer, client: Cartesia) -> list[Whole]:
    """The undisturbed bytes of each text."""
    server.clear_faults()
    found = []
    with client.tts.websocket_connect() as connection:
        for pieces in PIECES:
            context = open_context(connection)
            say(context, pieces, finish=True)
            heard = hear(context)
            assert heard.last == "done"
            found.append(Whole(heard.audio, len(heard.events)))
    assert len({whole.audio for whole in found}) == len(found)
    return found


class Scene:
    """One connection, some contexts that have been pushed to, and a server that waits for ``ready`` to answer.

    Attributes:
        ready: Lets the server speak.
        ids: The contexts' ids, known before they are opened, for faults that strike one of them.
        frames: How many event frames the server sends for all of them, if nothing goes wrong.
    """

    def __init__(self, server: LocalServer, client: Cartesia, wholes: list[Whole], count: int) -> None:
        self.server = server
        self.client = client
        self.ready = threading.Event()
        self.ids = [f"{NAMES[n]}-{uuid.uuid4().hex}" for n in range(count)]
        self.wholes = wholes[:count]
        self.frames = sum(whole.frames for whole in self.wholes)
        self.contexts: list[Context] = []
        self.connection: Any = None
        self._dialled_before = len(server.handshakes)
        server.clear_faults()
        server.inject(Hold(until=self.ready))

    @property
    def dialled(self) -> int:
        """How often the server was dialled for this scene."""
        return len(self.server.handshakes) - self._dialled_before

    def after(self, moment: str) -> int:
        """So many frames of the connection go before a fault at that moment."""
        return {BEFORE: 0, BETWEEN: 2 * len(self.ids) + 1, AFTER: self.frames - 1}[moment]

    def after_in_first(self, moment: str) -> int:
        """The same for a fault that strikes the first context."""
        return {BEFORE: 0, BETWEEN: 3, AFTER: self.wholes[0].frames - 1}[moment]

    @contextmanager
    def play(
        self, *faults: Fault, finish: bool = True, replay: bool = False, **connecting: Any
    ) -> Iterator[list[Context]]:
        """Connect, open the contexts and push their texts; the server has heard all of it and said nothing."""
        self.server.inject(*faults)
        heard_before = len(self.server.heard)
        options = {"on_disconnect": "replay"} if replay else {}
        with self.client.tts.websocket_connect(**connecting) as self.connection:
            self.contexts = [open_context(self.connection, each, **options) for each in self.ids]
            for context, pieces in zip(self.contexts, PIECES):
                say(context, pieces, finish=finish)
            said = len(self.ids) * (len(PIECES[0]) + finish)
            self.server.wait_for(lambda server: len(server.heard) == heard_before + said, BOUND)
            yield self.contexts

    def hear_all(self) -> list[Heard]:
        return hear_all(self.contexts, self.ready)

    # ---- what has to hold

    def assert_whole(self, heard: Heard, n: int) -> None:
        assert heard.error is None
        assert heard.last == "done"
        assert heard.audio == self.wholes[n].audio

    def assert_truncated(self, heard: Heard, n: int, fault: Optional[Fault]) -> None:
        """Cut short, and said so; ``fault`` None: by our own ``close()``."""
        assert not any(event.type in ("done", "error") for event in heard.events)
        assert self.wholes[n].audio.startswith(heard.audio)
        error = heard.error
        assert isinstance(error, TruncatedError)
        closed = fault if isinstance(fault, Close) else None
        assert (error.code, error.reason) == ((closed.code, closed.reason) if closed else (None, ""))
        assert error.context_id == self.ids[n]
        assert error.audio_bytes == len(heard.audio)
        assert error.audio_seconds == len(heard.audio) / 2 / 8000
        assert error.heard == bool(heard.events)
        assert error.transcripts[:2] == PIECES[n]
        if isinstance(fault, (InvalidFrame, Garbage, Binary)):
            assert isinstance(error.__cause__, ProtocolError)
        else:
            assert isinstance(error.__cause__, WebSocketConnectionClosedError)

    def assert_still_speaks(self, *, dialled: int) -> None:
        """The connection, or a new one that a push opens by itself, speaks as if nothing had happened."""
        again = open_context(self.connection)
        say(again, PIECES[0], finish=True)
        self.assert_whole(hear(again), 0)
        assert self.dialled == dialled

    def assert_reopens(self) -> None:
        """After ``close()`` there is nothing left of the connection, and another one can be had."""
        assert not self.connection._link.is_open
        assert not self.connection._link.reader.is_alive()
        with pytest.raises(WebSocketConnectionClosedError):
            open_context(self.connection)
        with self.client.tts.websocket_connect() as connection:
            again = open_context(connection)
            say(again, PIECES[0], finish=True)
            self.assert_whole(hear(again), 0)


@pytest.fixture
def make_scene(server: LocalServer, client: Cartesia, wholes: list[Whole]) -> Iterator[Callable[[int], Scene]]:
    yield lambda count: Scene(server, client, wholes, count)
    server.clear_faults()
    server.drop_connections(reset=True)
    # A connection that the server still has could take the next test's fault on itself.
    server.wait_for(lambda server: server.open_connections == 0, BOUND)


def struck(fault: Fault, **fields: Any) -> Any:
    """Return the fault with other fields."""
    return msgspec.structs.replace(fault, **fields)


def pings(fault: Fault) -> dict[str, Any]:
    return {"ping_interval": QUICK_PINGS} if isinstance(fault, Silence) else {}


# ---- the connection ends


@consumers
@moments
@ends
def test_a_connection_that_ends_truncates_what_is_not_whole_and_the_next_push_opens_another(
    make_scene: Callable[[int], Scene], fault: Fault, moment: str, count: int
) -> None:
    scene = make_scene(count)
    after = scene.after(moment)
    with scene.play(struck(fault, after=after), finish=moment == AFTER, **pings(fault)) as contexts:
        everything = scene.hear_all()
        cut = [n for n, heard in enumerate(everything) if heard.last != "done"]
        for n, heard in enumerate(everything):
            if n in cut:
                scene.assert_truncated(heard, n, fault)
            else:
                scene.assert_whole(heard, n)
        if not isinstance(fault, (Reset, Silence)):  # a reset may lose what was sent before it
            assert sum(len(heard.events) for heard in everything) == after
            assert len(cut) == (1 if moment == AFTER else count)
            if moment == AFTER:
                assert everything[cut[0]].audio == scene.wholes[cut[0]].audio  # all of it, and nobody can know
        assert cut
        for n in cut:
            again = hear(contexts[n])
            assert isinstance(again.error, TruncatedError)
            assert again.error is not everything[n].error
            with pytest.raises(TruncatedError) as caught:
                contexts[n].push("More.")
            assert caught.value.context_id == scene.ids[n]
        scene.assert_still_speaks(dialled=2)


@pytest.mark.parametrize("way", ["audio", "samples", "save"])
@ends
def test_speech_that_lacks_only_its_done_is_not_given_as_whole(
    make_scene: Callable[[int], Scene], fault: Fault, way: str, tmp_path: Path
) -> None:
    scene = make_scene(1)
    with scene.play(struck(fault, after=scene.after(AFTER)), **pings(fault)) as (context,):
        scene.ready.set()
        ways: dict[str, Callable[[], Any]] = {
            "audio": context.audio,
            "samples": context.samples,
            "save": lambda: context.save(tmp_path / "speech.wav"),
        }
        with pytest.raises(TruncatedError) as caught:
            ways[way]()
        assert caught.value.audio_bytes <= len(scene.wholes[0].audio)
        assert list(tmp_path.iterdir()) == []


@consumers
@ends
def test_what_was_not_answered_is_said_again_if_the_context_asks_for_it(
    make_scene: Callable[[int], Scene], fault: Fault, count: int
) -> None:
    scene = make_scene(count)
    with scene.play(fault, replay=True, **pings(fault)):
        for n, heard in enumerate(scene.hear_all()):
            scene.assert_whole(heard, n)
        assert scene.dialled == 2
        scene.assert_still_speaks(dialled=2)


def keep(heard: dict[str, Heard], events: Iterable[Event]) -> None:
    for event in events:
        assert event.context_id is not None
        heard[event.context_id].events.append(event)


@consumers
@ends
def test_one_thread_for_all_contexts_hears_of_each_loss_once(
    make_scene: Callable[[int], Scene], fault: Fault, count: int
) -> None:
    scene = make_scene(count)
    after = scene.after(BETWEEN)
    with scene.play(struck(fault, after=after), **pings(fault)) as contexts:
        scene.ready.set()
        heard = {each: Heard() for each in scene.ids}
        for _ in range(count):
            with pytest.raises(TruncatedError) as lost:
                keep(heard, scene.connection)
            heard[lost.value.context_id].error = lost.value
        for n, each in enumerate(scene.ids):
            scene.assert_truncated(heard[each], n, fault)
        with pytest.raises(WebSocketConnectionClosedError) as caught:
            scene.connection.recv(timeout=BOUND)
        assert not isinstance(caught.value, TruncatedError)
        assert list(scene.connection.receive_any(*contexts)) == []
        scene.assert_still_speaks(dialled=2)


@consumers
@ends
def test_merged_contexts_raise_one_after_the_other(
    make_scene: Callable[[int], Scene], fault: Fault, count: int
) -> None:
    scene = make_scene(count)
    with scene.play(struck(fault, after=scene.after(BETWEEN)), **pings(fault)) as contexts:
        scene.ready.set()
        heard = {each: Heard() for each in scene.ids}
        left = {context.context_id: context for context in contexts}
        while left:
            with pytest.raises(TruncatedError) as lost:
                keep(heard, (event for _, event in scene.connection.receive_any(*left.values())))
            heard[lost.value.context_id].error = lost.value
            del left[lost.value.context_id]
        for n, each in enumerate(scene.ids):
            scene.assert_truncated(heard[each], n, fault)
        scene.assert_still_speaks(dialled=2)


@pytest.mark.parametrize("way", [{"code": 1000, "reason": "connection idle timeout"}, {"reset": True}, {}])
def test_a_connection_that_ended_while_nobody_spoke_is_replaced_at_the_next_push(
    make_scene: Callable[[int], Scene], way: dict[str, Any]
) -> None:
    scene = make_scene(0)
    with scene.play():
        scene.ready.set()
        early = open_context(scene.connection)  # opened before the end, and nothing was said
        reader = scene.connection._link.reader
        scene.server.drop_connections(**way)
        reader.join(BOUND)
        scene.wholes = [Whole(speak_alone(scene), 0)]
        say(early, PIECES[0], finish=True)
        scene.assert_whole(hear(early), 0)
        assert scene.dialled == 3  # one of them the reference's own
        scene.assert_still_speaks(dialled=3)


def speak_alone(scene: Scene) -> bytes:
    with scene.client.tts.websocket_connect() as connection:
        context = open_context(connection)
        say(context, PIECES[0], finish=True)
        return context.audio()


@ends
def test_without_reconnecting_the_next_push_says_why_the_connection_ended(
    make_scene: Callable[[int], Scene], fault: Fault
) -> None:
    scene = make_scene(1)
    with scene.play(struck(fault, after=2), reconnect=False, **pings(fault)):
        (heard,) = scene.hear_all()
        scene.assert_truncated(heard, 0, fault)
        late = open_context(scene.connection)
        with pytest.raises(WebSocketConnectionClosedError) as caught:
            late.push("Hello.")
        assert not isinstance(caught.value, TruncatedError)
        assert caught.value.code == (fault.code if isinstance(fault, Close) else None)
        assert scene.dialled == 1


def test_a_new_connection_that_is_refused_is_the_pushers_to_know_and_the_one_after_it_speaks(
    make_scene: Callable[[int], Scene],
) -> None:
    scene = make_scene(1)
    with scene.play(Close(1012, "service restart", after=2)):
        (heard,) = scene.hear_all()
        scene.assert_truncated(heard, 0, Close(1012, "service restart"))
        scene.server.inject(Refuse(401), Refuse(503))
        refused = open_context(scene.connection)
        with pytest.raises(AuthenticationError):
            refused.push("Hello.")
        scene.assert_still_speaks(dialled=4)  # 401 to one; 503, and at the next try the connection, to the other


# ---- the service does not read


def push_until_it_fails(context: Context) -> None:
    for _ in range(64):  # the system's buffers hold some of it
        context.push(BIG)


@consumers
def test_a_service_that_stops_reading_fails_the_pusher_and_truncates_the_others(
    make_scene: Callable[[int], Scene], count: int
) -> None:
    scene = make_scene(count)
    pushes = 2 * count
    with scene.play(
        StopReading(after=pushes), finish=False, timeout=Timeout(connect=BOUND, write=3 * SHORT)
    ) as contexts:
        with ThreadPoolExecutor(count) as pool:
            receiving = [pool.submit(hear, context) for context in contexts]
            scene.ready.set()
            with pytest.raises(WriteTimeoutError) as caught:
                push_until_it_fails(contexts[0])
            everything = [each.result(BOUND) for each in receiving]
        assert caught.value.timeout == 3 * SHORT
        for n, heard in enumerate(everything):
            scene.assert_truncated(heard, n, StopReading())
            assert "did not take a message" in str(heard.error)
        with pytest.raises(TruncatedError):
            contexts[-1].push("More.")
        scene.assert_still_speaks(dialled=2)


# ---- what nobody can attribute


@pytest.mark.parametrize(
    ("fault", "story"),
    [(Garbage(), "a message of 23 bytes is not JSON"), (Binary(), "a binary message of")],
    ids=["garbage", "binary"],
)
def test_a_message_that_nobody_can_attribute_ends_the_connection_and_what_was_whole_stays_so(
    make_scene: Callable[[int], Scene], fault: Fault, story: str
) -> None:
    scene = make_scene(2)
    after = scene.frames - 1  # one is whole, of the other all but its end has come
    with scene.play(struck(fault, after=after)):
        everything = scene.hear_all()
        (cut,) = (n for n, heard in enumerate(everything) if heard.last != "done")
        error = everything[cut].error
        assert isinstance(error, TruncatedError)
        assert story in str(error)
        assert "Nobody can tell whose it is" in str(error)
        assert isinstance(error.__cause__, ProtocolError)
        scene.assert_whole(everything[1 - cut], 1 - cut)
        assert scene.connection.stats.stray_events == 0
        scene.assert_still_speaks(dialled=2)


# ---- what the service says is strange, and ends nothing


@consumers
@moments
def test_an_event_of_an_unknown_type_is_heard_by_its_context_alone(
    make_scene: Callable[[int], Scene], moment: str, count: int
) -> None:
    scene = make_scene(count)
    at = scene.after_in_first(moment)
    with scene.play(UnknownEvent(after=at, context_id=scene.ids[0])):
        everything = scene.hear_all()
        strange = everything[0].events.pop(at)
        assert isinstance(strange, Unknown)
        assert strange.fields["type"] == "weather"
        assert strange.context_id == scene.ids[0]
        for n, heard in enumerate(everything):
            scene.assert_whole(heard, n)
            assert len(heard.events) == scene.wholes[n].frames
        scene.assert_still_speaks(dialled=1)


@consumers
def test_fields_that_nobody_knows_are_kept_and_change_nothing(make_scene: Callable[[int], Scene], count: int) -> None:
    scene = make_scene(count)
    with scene.play(ExtraFields()):
        for n, heard in enumerate(scene.hear_all()):
            scene.assert_whole(heard, n)
            assert all(event.extra["zz_flag"] is True for event in heard.events)
        scene.assert_still_speaks(dialled=1)


@consumers
def test_events_that_are_late_by_chance_are_whole_and_in_order(make_scene: Callable[[int], Scene], count: int) -> None:
    scene = make_scene(count)
    with scene.play(Delay(0.001, jitter=0.008)):
        for n, heard in enumerate(scene.hear_all()):
            scene.assert_whole(heard, n)
        scene.assert_still_speaks(dialled=1)


# ---- error events


@consumers
@moments
def test_an_error_event_ends_its_own_context_after_what_had_arrived(
    make_scene: Callable[[int], Scene], moment: str, count: int
) -> None:
    scene = make_scene(count)
    at = scene.after_in_first(moment)
    fault = ErrorEvent(503, "overloaded", "Overloaded", "Try again later.", after=at, context_id=scene.ids[0])
    with scene.play(fault) as contexts:
        first, *others = scene.hear_all()
        assert first.error is None
        assert len(first.events) == at + 1
        error = first.events[-1]
        assert isinstance(error, Error)
        assert (error.context_id, error.status_code, error.error_code) == (scene.ids[0], 503, "overloaded")
        assert (error.title, error.message) == ("Overloaded", "Try again later.")
        assert scene.wholes[0].audio.startswith(first.audio)
        assert hear(contexts[0]) == Heard()
        for n, heard in enumerate(others, 1):
            scene.assert_whole(heard, n)
        scene.assert_still_speaks(dialled=1)


@moments
@pytest.mark.parametrize("way", ["audio", "receive"])
def test_an_error_event_is_raised_where_speech_is_asked_for_as_a_whole(
    make_scene: Callable[[int], Scene], moment: str, way: str
) -> None:
    scene = make_scene(1)
    at = scene.after_in_first(moment)
    with scene.play(ErrorEvent(503, "overloaded", "Overloaded", "Try again later.", after=at)) as (context,):
        scene.ready.set()
        with pytest.raises(InternalServerError, match=r"Overloaded: Try again later\.") as caught:
            context.audio() if way == "audio" else list(context.receive(raise_on_error=True))
        assert (caught.value.status_code, caught.value.error_code) == (503, "overloaded")
        scene.assert_still_speaks(dialled=1)


@consumers
@moments
def test_an_error_event_that_is_not_done_is_heard_and_ends_nothing(
    make_scene: Callable[[int], Scene], moment: str, count: int
) -> None:
    scene = make_scene(count)
    at = scene.after_in_first(moment)
    with scene.play(ErrorEvent(done=False, after=at, context_id=scene.ids[0])):
        everything = scene.hear_all()
        assert everything[0].events.pop(at).type == "error"
        for n, heard in enumerate(everything):
            scene.assert_whole(heard, n)
            assert len(heard.events) == scene.wholes[n].frames
        scene.assert_still_speaks(dialled=1)


@consumers
@moments
def test_an_error_event_without_a_context_is_heard_by_all_and_ends_nobody(
    make_scene: Callable[[int], Scene], moment: str, count: int
) -> None:
    scene = make_scene(count)
    at = scene.after_in_first(moment)
    with scene.play(ErrorEvent(with_context=False, title="Trouble", after=at, context_id=scene.ids[0])):
        everything = scene.hear_all()
        for n, heard in enumerate(everything):
            errors = [event for event in heard.events if event.type == "error"]
            assert all(event.context_id is None for event in errors)
            assert len(errors) <= 1  # some may have been whole by then
            scene.assert_whole(Heard([event for event in heard.events if event not in errors]), n)
            if n == 0:
                assert heard.events[at] in errors
        scene.assert_still_speaks(dialled=1)


# ---- the service falls silent for one context


@consumers
@moments
def test_a_context_that_never_ends_ends_by_its_clock_and_no_other_does(
    make_scene: Callable[[int], Scene], moment: str, count: int
) -> None:
    scene = make_scene(count)
    at = scene.after_in_first(moment)
    with scene.play(Unfinished(after=at, context_id=scene.ids[0])) as contexts:
        with ThreadPoolExecutor(count) as pool:
            receiving = [pool.submit(hear, context) for context in contexts[1:]]
            scene.ready.set()
            # What comes is awaited without a clock, so that a slow machine changes nothing; then nothing will come.
            heard = Heard(list(itertools.islice(contexts[0].receive(), at)))
            heard.error = hear(contexts[0], timeout=SHORT, first_event_timeout=SHORT).error
            others = [each.result(BOUND) for each in receiving]
        error = heard.error
        assert isinstance(error, FirstEventTimeoutError if at == 0 else GapTimeoutError)
        assert isinstance(error, TimeoutError)
        assert scene.wholes[0].audio.startswith(heard.audio)
        assert len(heard.events) == at
        assert (error.timeout, error.context_id, error.audio_bytes) == (SHORT, scene.ids[0], len(heard.audio))
        assert (error.heard, error.transcripts) == (at > 0, PIECES[0])
        for n, other in enumerate(others, 1):
            scene.assert_whole(other, n)
        cancel = {"context_id": scene.ids[0], "cancel": True}
        scene.server.wait_for(lambda server: any(each.message == cancel for each in server.heard), BOUND)
        assert hear(contexts[0]) == Heard()
        scene.assert_still_speaks(dialled=1)


@consumers
@moments
def test_the_clock_of_the_whole_ends_a_context_that_never_ends(
    make_scene: Callable[[int], Scene], moment: str, count: int
) -> None:
    scene = make_scene(count)
    at = scene.after_in_first(moment)
    with scene.play(Unfinished(after=at, context_id=scene.ids[0])) as contexts:
        with ThreadPoolExecutor(count) as pool:
            receiving = [pool.submit(hear, context) for context in contexts[1:]]
            scene.ready.set()
            heard = Heard(list(itertools.islice(contexts[0].receive(), at)))
            heard.error = hear(contexts[0], whole_timeout=SHORT).error
            others = [each.result(BOUND) for each in receiving]
        assert isinstance(heard.error, ContextTimeoutError)
        assert (heard.error.audio_bytes, heard.error.heard) == (len(heard.audio), at > 0)
        for n, other in enumerate(others, 1):
            scene.assert_whole(other, n)
        scene.assert_still_speaks(dialled=1)


@consumers
def test_when_every_context_falls_silent_each_ends_by_a_clock_of_its_own(
    make_scene: Callable[[int], Scene], count: int
) -> None:
    scene = make_scene(count)
    with scene.play(Unfinished(times=None)) as contexts:
        with ThreadPoolExecutor(count) as pool:
            receiving = [pool.submit(hear, context, first_event_timeout=SHORT) for context in contexts]
            everything = [each.result(BOUND) for each in receiving]
        errors = [heard.error for heard in everything]
        assert [getattr(error, "context_id", None) for error in errors] == scene.ids
        assert all(isinstance(error, FirstEventTimeoutError) for error in errors)
        scene.ready.set()
        scene.server.clear_faults()
        scene.assert_still_speaks(dialled=1)


# ---- events after a cancel


@consumers
def test_events_that_come_after_a_cancel_reach_nobody(make_scene: Callable[[int], Scene], count: int) -> None:
    scene = make_scene(count)
    one_spoke = threading.Event()
    late = LateFrames(count=3, context_id=scene.ids[0])
    hold = Hold(until=threading.Event(), after=1, context_id=scene.ids[0])
    with scene.play(late, hold, finish=False) as contexts:
        with ThreadPoolExecutor(count) as pool:

            def hear_first() -> Heard:
                heard = Heard()
                for event in contexts[0].receive():
                    heard.events.append(event)
                    one_spoke.set()
                return heard

            cancelled = pool.submit(hear_first)
            receiving = [pool.submit(hear, context) for context in contexts[1:]]
            scene.ready.set()
            assert one_spoke.wait(BOUND)
            contexts[0].cancel()
            first = cancelled.result(BOUND)
            for context in contexts[1:]:
                context.no_more_inputs()
            others = [each.result(BOUND) for each in receiving]
        assert len(first.events) == 1  # and no error: who cancels knows
        for n, other in enumerate(others, 1):
            scene.assert_whole(other, n)
        scene.assert_still_speaks(dialled=1)
        assert (
            scene.connection.stats.late_events == 4
        )  # contexts take turns on the server, and this one has had its own
        assert scene.connection.stats.stray_events == 0


# ---- in close()


@consumers
@pytest.mark.parametrize(
    "fault",
    [
        *(pytest.param(fault, id=name) for name, fault in ENDS.items()),
        pytest.param(UnknownEvent(times=None), id="unknown event"),
        pytest.param(ErrorEvent(with_context=False), id="error without context"),
        pytest.param(Delay(0.001, jitter=0.01), id="delay"),
    ],
)
def test_close_and_a_fault_at_one_time_end_every_consumer_in_whatever_order(
    make_scene: Callable[[int], Scene], fault: Fault, count: int
) -> None:
    scene = make_scene(count)
    clocks = Timeout(connect=BOUND, close=SHORT if isinstance(fault, Silence) else BOUND)
    with scene.play(fault, finish=False, timeout=clocks) as contexts, ThreadPoolExecutor(count + 2) as pool:
        receiving = [pool.submit(hear, context) for context in contexts]
        together = threading.Barrier(2)

        def speak() -> None:
            together.wait(BOUND)
            scene.ready.set()

        def close() -> None:
            together.wait(BOUND)
            scene.connection.close()

        for done in [pool.submit(speak), pool.submit(close)]:
            done.result(BOUND)
        for n, each in enumerate(receiving):
            heard = each.result(BOUND)
            heard.events = [event for event in heard.events if event.type == "chunk"]
            assert isinstance(heard.error, TruncatedError)
            by_close = heard.error.code is None and "close()" in str(heard.error)
            scene.assert_truncated(heard, n, None if by_close else fault)
        scene.server.clear_faults()
        scene.assert_reopens()


@consumers
@pytest.mark.parametrize("fault", [Silence(after=1), StopReading(after=16)], ids=["silence", "stop reading"])
def test_close_does_not_wait_for_ever_for_a_service_that_does_not_answer(
    make_scene: Callable[[int], Scene], fault: Fault, count: int
) -> None:
    scene = make_scene(count)
    if isinstance(fault, StopReading):
        fault = struck(fault, after=2 * count)
    with scene.play(fault, finish=False, timeout=Timeout(connect=BOUND, close=SHORT)) as contexts:
        with ThreadPoolExecutor(count) as pool:
            receiving = [pool.submit(hear, context) for context in contexts]
            scene.ready.set()
            scene.connection.close()
            for n, each in enumerate(receiving):
                scene.assert_truncated(each.result(BOUND), n, None)
        scene.server.clear_faults()
        scene.assert_reopens()


@consumers
@pytest.mark.parametrize("way", [{"code": 1012, "reason": "service restart"}, {"reset": True}, {}])
def test_the_service_and_we_may_close_at_one_time(
    make_scene: Callable[[int], Scene], way: dict[str, Any], count: int
) -> None:
    scene = make_scene(count)
    with scene.play(finish=False) as contexts, ThreadPoolExecutor(count + 2) as pool:
        receiving = [pool.submit(hear, context) for context in contexts]
        together = threading.Barrier(2)

        def drop() -> None:
            together.wait(BOUND)
            scene.server.drop_connections(**way)

        def close() -> None:
            together.wait(BOUND)
            scene.connection.close()

        for done in [pool.submit(drop), pool.submit(close)]:
            done.result(BOUND)
        for n, each in enumerate(receiving):
            heard = each.result(BOUND)
            assert isinstance(heard.error, TruncatedError)
            by_service = heard.error.code is not None
            scene.assert_truncated(heard, n, Close(**way) if by_service else None)
        scene.ready.set()
        scene.assert_reopens()
