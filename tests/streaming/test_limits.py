"""What may wait to be received, and that whoever asks for the whole gets each byte of it once, whatever interrupts."""

from __future__ import annotations

import base64
import contextlib
import math
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest

from cartesia_sync import Cartesia, ContextStateError, MailboxFullError, UnfinishedError
from cartesia_sync.audio.wav import WavWriter, read_wav
from cartesia_sync.streaming import compat_v2 as v2
from cartesia_sync.streaming.compat_v2 import TtsWebsocket
from cartesia_sync.streaming.context import Context
from cartesia_sync.streaming.mailbox import Mailbox
from cartesia_sync.streaming.receiver import Turn

BOUND = 10.0
CHUNK = 900
AUDIO = [bytes([number]) * CHUNK for number in range(8)]
WHOLE = b"".join(AUDIO)


def hear_all(wire: Any, context_id: str = "a") -> None:
    """Hear the whole audio, piece by piece, and the end."""
    for audio in AUDIO:
        wire.feed_chunk(context_id, audio)
    wire.feed_done(context_id)


def settle(stage: Any, name: str = "probe") -> None:
    """Wait until the reader has passed on all that the wire was told so far."""
    probe = stage.context(name)
    stage.wire.feed_done(name)
    assert [event.type for event in probe.receive(timeout=BOUND)] == ["done"]


@pytest.fixture
def spoken(stage: Any) -> Any:
    """A context that has said all its text."""
    context = stage.context("a")
    context.push("Words.", continue_=False)
    return context


# ---- the limit of the connection


def test_what_waits_in_all_contexts_is_never_more_than_the_limit_and_one_message(
    make_stage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, read or not, ended or not."""
    limit, largest = 20_000, 1000
    stage = make_stage(max_queued_bytes=limit)
    rng = random.Random(11)
    contexts = [stage.context(f"c{number}") for number in range(60)]
    for context in contexts:
        context.push("x", continue_=False)
    seen: list[int] = []
    deliver = Mailbox.deliver

    def deliver_and_weigh(mailbox: Mailbox, *args: Any, **fields: Any) -> bool:
        was_room = deliver(mailbox, *args, **fields)
        seen.append(sum(context._channel.mailbox.waiting_bytes for context in contexts))
        return was_room

    monkeypatch.setattr(Mailbox, "deliver", deliver_and_weigh)
    for _ in range(600):
        name = rng.choice(contexts).context_id
        if rng.random() < 0.05:
            stage.wire.feed_done(name)
        else:
            stage.wire.feed_chunk(name, bytes(rng.randrange(1, largest)))
    settle(stage)
    assert limit / 2 < max(seen) <= limit + largest
    assert sum(context._channel.mailbox.waiting_bytes for context in contexts) <= limit
    full = [context for context in contexts if is_full(context)]
    assert 0 < len(full) < len(contexts)


def is_full(context: Any) -> bool:
    """Whether the connection's limit ended it; what came of the others is left there."""
    found = context._channel.mailbox.peek()
    return getattr(found, "make_error", None) is not None and isinstance(found.make_error(), MailboxFullError)


def test_what_arrives_in_one_piece_is_bound_too(make_stage: Callable[..., Any]) -> None:
    """All that one read brings is passed on together: it counts before it is."""
    stage = make_stage(max_queued_bytes=5000)
    contexts = [stage.context(f"c{number}") for number in range(40)]
    for context in contexts:
        context.push("x", continue_=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cartesia_sync.streaming.reader._TURN", 0.0)
        frames = [chunk(context.context_id, bytes(900)) for _ in range(3) for context in contexts]
        stage.wire.feed_together(*frames)
        settle(stage)
    assert sum(context._channel.mailbox.waiting_bytes for context in contexts) <= 5000


def chunk(context_id: str, audio: bytes) -> dict[str, Any]:
    return {"type": "chunk", "context_id": context_id, "data": base64.b64encode(audio).decode(), "done": False}


def test_a_finished_context_that_nobody_reads_counts_and_may_be_the_one(make_stage: Callable[..., Any]) -> None:
    stage = make_stage(max_queued_bytes=10_000)
    unread, awake = stage.context("unread"), stage.context("awake")
    for context in (unread, awake):
        context.push("x", continue_=False)
    for _ in range(6):
        stage.wire.feed_chunk("unread", bytes(1000))
    stage.wire.feed_done("unread")
    settle(stage)
    receiver = awake.receive()
    for _ in range(3):
        stage.wire.feed_chunk("awake", bytes(1000))
    settle(stage, "probe-2")
    assert unread._channel.mailbox.waiting_bytes > 6000  # there is room for all that, and for the end of the one
    stage.wire.feed_chunk("awake", bytes(1000))
    stage.wire.feed_done("awake")
    settle(stage, "probe-3")
    assert sum(len(event.audio) for event in receiver if event.type == "chunk") == 4000
    with pytest.raises(MailboxFullError, match="connection's limit of 10000 bytes"):
        unread.audio()
    assert unread._channel.mailbox.waiting_bytes == 0
    settle(stage, "probe-4")
    assert {"context_id": "unread", "cancel": True} not in stage.wire.sent  # it had ended


def test_whoever_keeps_up_is_never_the_one(make_stage: Callable[..., Any]) -> None:
    """Though most comes for it; what waits of it at any time is one message."""
    stage = make_stage(max_queued_bytes=10_000)
    awake = stage.context("awake")
    hogs = [stage.context(f"hog{number}") for number in range(20)]
    for context in (awake, *hogs):
        context.push("x", continue_=False)
    receiver, heard = awake.receive(), 0
    for number in range(200):
        stage.wire.feed_chunk("awake", bytes(400))
        stage.wire.feed_chunk(hogs[number % 20].context_id, bytes(300))
        heard += len(next(receiver).audio)
    stage.wire.feed_done("awake")
    assert [event.type for event in receiver] == ["done"]
    assert heard == 80_000
    settle(stage)
    assert sum(hog._channel.mailbox.waiting_bytes for hog in hogs) <= 10_000


def test_taking_makes_room_again(make_stage: Callable[..., Any]) -> None:
    stage = make_stage(max_queued_bytes=2000)
    context = stage.context("a", max_queued_bytes=2000)
    context.push("x", continue_=False)
    receiver = context.receive()
    for _ in range(50):
        stage.wire.feed_chunk("a", bytes(1000))
        stage.wire.feed_chunk("a", bytes(1000))
        assert [len(next(receiver).audio) for _ in range(2)] == [1000] * 2
    stage.wire.feed_done("a")
    assert [event.type for event in receiver] == ["done"]


def test_the_limits_weigh_audio_and_not_its_base64(make_stage: Callable[..., Any]) -> None:
    stage = make_stage(max_queued_bytes=10_000)
    context = stage.context("a", max_queued_bytes=9000)
    context.push("x", continue_=False)
    for _ in range(9):
        stage.wire.feed_chunk("a", bytes(1000))  # 12,000 bytes of text, and more
    stage.wire.feed_done("a")
    assert len(context.audio()) == 9000


@pytest.mark.parametrize("limit", [0, -1, math.nan, math.inf, 1.5, "5", True, None, b"5"])
def test_what_is_no_limit_is_refused_by_name(stage: Any, limit: Any) -> None:
    with pytest.raises(ValueError, match=r"max_queued_bytes: expected a whole number of bytes"):
        stage.context("a", max_queued_bytes=limit)
    assert stage.context("a").context_id == "a"  # the id was not used
    if limit is not None:
        client = Cartesia(api_key="any", base_url="http://127.0.0.1:1")
        with pytest.raises(ValueError, match="max_queued_bytes: expected a whole number of bytes"):
            client.tts.websocket_connect(max_queued_bytes=limit)


def test_receive_any_takes_no_context_of_another_connection(make_stage: Callable[..., Any]) -> None:
    ours, theirs = make_stage(), make_stage()
    own, other = ours.context("own"), theirs.context("other")
    with pytest.raises(ValueError, match="'other' is another one's"):
        ours.connection.receive_any(own, other)
    other.push("x", continue_=False)
    theirs.wire.feed_done("other")
    assert [event.type for event in other.receive()] == ["done"]


# ---- audio() that is interrupted


@contextlib.contextmanager
def interrupted(target: Any, name: str, after: int, error: type[BaseException] = KeyboardInterrupt) -> Any:
    """Raise in place of the next call but so many of a method."""
    with pytest.MonkeyPatch.context() as patch:
        method, left = getattr(target, name), iter(range(after))

        def strike(*args: Any, **fields: Any) -> Any:
            if next(left, None) is None:
                raise error
            return method(*args, **fields)

        patch.setattr(target, name, strike)
        yield


@pytest.mark.parametrize("after", range(4))
def test_audio_that_is_interrupted_while_it_waits_gives_the_whole_when_asked_again(
    stage: Any, spoken: Any, after: int
) -> None:
    for audio in AUDIO[:4]:
        stage.wire.feed_chunk("a", audio)
    settle(stage)
    wait, left = Mailbox.wait, list(AUDIO[4 : 4 + after])

    def hear_or_strike(mailbox: Mailbox, timeout: Any) -> None:
        if not left:
            raise KeyboardInterrupt
        stage.wire.feed_chunk("a", left.pop(0))
        wait(mailbox, timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mailbox, "wait", hear_or_strike)
        with pytest.raises(KeyboardInterrupt):
            spoken.audio()
    for audio in AUDIO[4 + after :]:
        stage.wire.feed_chunk("a", audio)
    stage.wire.feed_done("a")
    assert spoken.audio() == WHOLE
    with pytest.raises(ContextStateError):
        spoken.audio()


ASK_AGAIN: list[Callable[[Any, Path], bytes]] = [
    lambda context, folder: context.audio(),
    lambda context, folder: context.samples().tobytes() and WHOLE,
    lambda context, folder: read_wav((context.save(folder / "b.wav") and folder / "b.wav").read_bytes())[1],
    lambda context, folder: b"".join(event.audio for event in context.receive() if event.type == "chunk"),
    lambda context, folder: b"".join(
        event.audio for _, flush in context.receive_flushes() for event in flush if event.type == "chunk"
    ),
]
again = pytest.mark.parametrize("again", ASK_AGAIN, ids=["audio", "samples", "save", "receive", "receive_flushes"])


@pytest.mark.parametrize(
    ("target", "name"), [(Context, "_check_whole"), (Mailbox, "collect"), (Mailbox, "peek"), (Turn, "await_next")]
)
@pytest.mark.parametrize("after", range(3))
@again
def test_audio_that_is_interrupted_anywhere_loses_nothing(
    stage: Any, spoken: Any, target: Any, name: str, after: int, again: Callable[..., bytes], tmp_path: Path
) -> None:
    hear_all(stage.wire)
    settle(stage)
    with interrupted(target, name, after), contextlib.suppress(KeyboardInterrupt):
        if spoken.audio():
            return  # it was asked less often than that
    assert again(spoken, tmp_path) == WHOLE


def test_receive_after_an_audio_that_was_interrupted_gives_each_event_once_and_in_order(
    stage: Any, spoken: Any
) -> None:
    words = {"words": ["x"], "start": [0.0], "end": [0.5]}
    stage.wire.feed_chunk("a", AUDIO[0])
    stage.wire.feed({"type": "timestamps", "context_id": "a", "word_timestamps": words})
    stage.wire.feed_chunk("a", AUDIO[1])
    stage.wire.feed_done("a")
    with interrupted(Context, "_check_whole", 0), pytest.raises(KeyboardInterrupt):
        spoken.audio()
    events = list(spoken.receive())
    assert [event.type for event in events] == ["chunk", "timestamps", "chunk", "done"]
    assert [event.audio for event in events if event.type == "chunk"] == AUDIO[:2]
    assert list(spoken.receive()) == []


def test_receive_any_gives_what_an_interrupted_audio_had_taken(stage: Any, spoken: Any) -> None:
    hear_all(stage.wire)
    with interrupted(Context, "_check_whole", 0), pytest.raises(KeyboardInterrupt):
        spoken.audio()
    heard = [event for _, event in stage.connection.receive_any(spoken)]
    assert b"".join(event.audio for event in heard if event.type == "chunk") == WHOLE
    assert heard[-1].type == "done"


def test_what_was_received_before_is_not_handed_over_as_the_whole(stage: Any, spoken: Any) -> None:
    hear_all(stage.wire)
    assert next(spoken.receive()).audio == AUDIO[0]
    for _ in range(2):
        with pytest.raises(ContextStateError, match="some of it was received already"):
            spoken.audio()
    assert b"".join(event.audio for event in spoken.receive() if event.type == "chunk") == WHOLE[CHUNK:]


# ---- save() whose writing fails


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("after", [0, 1, 3, 7])
@pytest.mark.parametrize("is_heard", [True, False], ids=["all is there", "it comes meanwhile"])
@again
def test_save_whose_writing_fails_can_be_asked_again(
    stage: Any,
    spoken: Any,
    tmp_path: Path,
    error: type[BaseException],
    after: int,
    is_heard: bool,
    again: Callable[..., bytes],
) -> None:
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(hear_all, stage.wire)
        if is_heard:
            heard.result(BOUND)
            settle(stage)
        with interrupted(WavWriter, "write", after, error), pytest.raises(error):
            spoken.save(tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []
    assert again(spoken, tmp_path) == WHOLE


@pytest.mark.parametrize(
    ("target", "name"), [(Context, "_check_whole"), (Mailbox, "collect"), (Mailbox, "peek"), (WavWriter, "_go_to_end")]
)
@pytest.mark.parametrize("after", range(3))
def test_save_that_is_interrupted_anywhere_gives_the_whole_or_raises_when_asked_again(
    stage: Any, spoken: Any, tmp_path: Path, target: Any, name: str, after: int
) -> None:
    hear_all(stage.wire)
    settle(stage)
    try:
        with interrupted(target, name, after):
            spoken.save(tmp_path / "a.wav")
    except KeyboardInterrupt:
        assert list(tmp_path.iterdir()) == []
        spoken.save(tmp_path / "b.wav")
    (path,) = tmp_path.iterdir()
    assert read_wav(path.read_bytes())[1] == WHOLE
    assert list(spoken.receive()) == []


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@again
def test_save_whose_last_step_fails_leaves_no_part_that_is_taken_for_the_whole(
    stage: Any, spoken: Any, tmp_path: Path, error: type[BaseException], again: Callable[..., bytes]
) -> None:
    """The file is gone by then, and the audio with it."""
    hear_all(stage.wire)
    with interrupted(WavWriter, "_finish", 0, error), pytest.raises(error):
        spoken.save(tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []
    if again in ASK_AGAIN[:3]:
        with pytest.raises(ContextStateError, match="an interrupt has cost the rest"):
            again(spoken, tmp_path)
    else:  # to receive is to ask for what there is
        assert again(spoken, tmp_path) == b""
    assert list(tmp_path.iterdir()) == []


def test_what_another_has_taken_by_the_queue_is_missed(stage: Any, spoken: Any, tmp_path: Path) -> None:
    hear_all(stage.wire)
    assert spoken._channel.mailbox.get(timeout=BOUND).audio == AUDIO[0]
    for _ in range(2):
        with pytest.raises(ContextStateError, match="7200 bytes of audio came, and 6300 of them are left"):
            spoken.audio()
    with pytest.raises(ContextStateError, match="7200 bytes of audio came, and 6300 of them are left"):
        spoken.save(tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_no_good_costs_no_audio(stage: Any, spoken: Any, tmp_path: Path) -> None:
    hear_all(stage.wire)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        spoken.save(tmp_path / "nowhere" / "a.wav")
    assert spoken.save(tmp_path / "a.wav") == len(WHOLE) / 2 / 44100
    assert read_wav((tmp_path / "a.wav").read_bytes())[1] == WHOLE
    assert list(spoken.receive()) == []


# ---- receive_flushes, and version 2


@pytest.mark.parametrize("taken", range(1, 9))
@pytest.mark.parametrize("is_second", [False, True])
def test_flushes_that_are_left_by_break_give_back_what_was_looked_at_ahead(
    stage: Any, spoken: Any, taken: int, is_second: bool
) -> None:
    hear_all(stage.wire)
    if is_second:  # what it takes was collected before, and has gone back
        with interrupted(Context, "_check_whole", 0), pytest.raises(KeyboardInterrupt):
            spoken.audio()
    heard: list[Any] = []
    for _, flush in spoken.receive_flushes():
        for event in flush:
            heard.append(event)
            if len(heard) == taken:
                break
        break
    heard.extend(spoken.receive())
    assert b"".join(event.audio for event in heard if event.type == "chunk") == WHOLE
    assert [event.type for event in heard if event.type != "chunk"] == ["done"]


@pytest.mark.parametrize("is_second", [False, True])
def test_a_flush_that_is_left_before_its_first_event_gives_that_back(stage: Any, spoken: Any, is_second: bool) -> None:
    for number, audio in enumerate(AUDIO):
        stage.wire.feed({**chunk("a", audio), "flush_id": 1 + number // 4})
    stage.wire.feed_done("a")
    if is_second:
        with interrupted(Context, "_check_whole", 0), pytest.raises(KeyboardInterrupt):
            spoken.audio()
    heard: list[Any] = []
    for number, flush in spoken.receive_flushes():
        if number == 2:
            break
        heard.extend(flush)
    assert len(heard) == 4
    heard.extend(spoken.receive())
    assert b"".join(event.audio for event in heard if event.type == "chunk") == WHOLE
    assert [event.type for event in heard if event.type != "chunk"] == ["done"]


def test_flushes_that_are_left_before_their_first_event_give_it_back(stage: Any, spoken: Any) -> None:
    hear_all(stage.wire)
    for _ in spoken.receive_flushes():
        break
    assert b"".join(event.audio for event in spoken.receive() if event.type == "chunk") == WHOLE


class Manager:
    """Returns the stage's connection where the real one would open one."""

    def __init__(self, stage: Any) -> None:
        self._stage = stage

    def enter(self) -> Any:
        return self._stage.connection


def speak_by_v2(stage: Any, socket: TtsWebsocket, **fields: Any) -> Any:
    form = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}
    return socket.send(
        model_id="m", transcript="Words.", voice={"mode": "id", "id": "v"}, output_format=form, context_id="a", **fields
    )


@pytest.mark.parametrize("after", range(8))
def test_outputs_of_version_2_lose_nothing_to_an_interrupt_inside_of_them(stage: Any, after: int) -> None:
    socket = TtsWebsocket(Manager(stage))  # type: ignore[arg-type]  # it is only entered
    outputs = speak_by_v2(stage, socket)
    line = stage.link.registry.get("a")
    hear_all(stage.wire)
    settle(stage)
    heard: list[bytes] = []
    with interrupted(v2, "_output", after), contextlib.suppress(KeyboardInterrupt):
        for output in outputs:
            heard.append(output.audio or b"")
    box = line.mailbox
    box.restore()
    rest = [event.audio for event in iter(lambda: take(box), None) if event.type == "chunk"]
    assert b"".join(heard + rest) == WHOLE


def take(mailbox: Mailbox) -> Any:
    return mailbox.get(block=False) if mailbox.qsize() else None


def test_outputs_of_version_2_that_are_left_by_break_go_on(stage: Any) -> None:
    socket = TtsWebsocket(Manager(stage))  # type: ignore[arg-type]  # it is only entered
    outputs = speak_by_v2(stage, socket)
    hear_all(stage.wire)
    heard = []
    for output in outputs:
        heard.append(output.audio)
        if len(heard) == 3:
            break
    heard.extend(output.audio for output in outputs)
    assert b"".join(heard) == WHOLE


def test_one_output_of_version_2_is_the_whole_or_an_exception(stage: Any) -> None:
    socket = TtsWebsocket(Manager(stage))  # type: ignore[arg-type]  # it is only entered
    stage.wire.after_write = lambda: stage.wire.feed_done("a")
    with pytest.raises(UnfinishedError, match="without any audio, though there were words"):
        speak_by_v2(stage, socket, stream=False)


def test_one_that_keeps_up_is_not_the_one_though_its_message_is_the_largest(make_stage: Callable[..., Any]) -> None:
    stage = make_stage(max_queued_bytes=10_000)
    asleep = [stage.context(f"asleep {number}") for number in range(20)]
    awake = stage.context("awake")
    for context in [*asleep, awake]:
        context.push("x", continue_=False)
    for context in asleep:
        stage.wire.feed_chunk(context.context_id, bytes(495))
    stage.wire.feed_chunk("awake", bytes(2000))
    stage.wire.feed_done("awake")
    assert len(awake.audio()) == 2000
    assert 0 < sum(context._channel.mailbox.is_sealed for context in asleep) < 6
