from __future__ import annotations

import gc
import io
import threading
import wave
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from cartesia_sync import (
    APIError,
    BadRequestError,
    CartesiaError,
    ConcurrencyError,
    ContextStateError,
    ContextTimeoutError,
    FirstEventTimeoutError,
    GapTimeoutError,
    MailboxFullError,
    ProtocolError,
    RateLimitError,
    Timeout,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from cartesia_sync.transport.websocket.wire import BinaryMessage

BOUND = 10.0


def audio_of(context: Any) -> list[bytes]:
    return [event.audio for event in context.receive() if event.type == "chunk"]


# ---- sending


def test_a_push_sends_what_the_context_was_made_with(stage: Any) -> None:
    context = stage.context("a", model_id="m", language="en", add_timestamps=True, max_buffer_delay_ms=0)
    context.push("Hello.")
    assert stage.wire.sent == [
        {
            "context_id": "a",
            "model_id": "m",
            "transcript": "Hello.",
            "voice": "v",
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100},
            "continue": True,
            "language": "en",
            "add_timestamps": True,
            "max_buffer_delay_ms": 0,
        }
    ]


def test_defaults_are_those_of_the_official_client(stage: Any) -> None:
    stage.connection.context("a", voice="v").push("x")
    (said,) = stage.wire.sent
    assert said["model_id"] == "sonic-latest"
    assert said["output_format"] == {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100}


def test_a_push_without_a_voice_is_refused_before_anything_is_sent(stage: Any) -> None:
    context = stage.connection.context("a")
    with pytest.raises(ValueError, match="voice"):
        context.push("x")
    assert stage.wire.sent == []


@pytest.mark.parametrize("transcript", [None, b"x", 3])
def test_a_transcript_that_is_no_text_is_refused(stage: Any, transcript: Any) -> None:
    with pytest.raises(TypeError, match=type(transcript).__name__):
        stage.context("a").push(transcript)
    assert stage.wire.sent == []


def test_no_more_inputs_is_sent_once_and_ends_pushing(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    context.no_more_inputs()
    context.no_more_inputs()
    assert [(said["transcript"], said["continue"]) for said in stage.wire.sent] == [("x", True), ("", False)]
    with pytest.raises(ContextStateError, match="'a'"):
        context.push("y")


def test_a_last_push_marked_as_such_needs_no_closing_message(stage: Any) -> None:
    """The official client sends one more here, with a voice of its own."""
    context = stage.context("a")
    context.push("x", continue_=False)
    context.no_more_inputs()
    assert [said["continue"] for said in stage.wire.sent] == [False]
    with pytest.raises(ValueError, match="all its text"):
        context.push("y")


def test_no_more_inputs_on_a_context_without_text_sends_nothing_and_ends_it(stage: Any) -> None:
    context = stage.context("a")
    context.no_more_inputs()
    assert stage.wire.sent == []
    assert list(context.receive()) == []


def test_flush_sends_an_empty_push_marked_as_flush(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    context.flush()
    said = stage.wire.sent[1]
    assert (said["transcript"], said["flush"], said["continue"]) == ("", True, True)


def test_extra_fields_go_out_as_they_are(stage: Any) -> None:
    stage.context("a").push("x", locale="en-GB", duration=2.5)
    assert stage.wire.sent[0]["locale"] == "en-GB"
    assert stage.wire.sent[0]["duration"] == 2.5


def test_what_json_has_no_form_for_is_refused_and_the_context_goes_on(stage: Any) -> None:
    context = stage.context("a")
    with pytest.raises(TypeError):
        context.push("x", odd=object())
    context.push("y")
    assert [said["transcript"] for said in stage.wire.sent] == ["y"]


def test_a_push_after_the_service_ended_the_context_says_why(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_error("a", title="Voice not found", message="no such voice")
    assert [event.type for event in context.receive()] == ["error"]
    with pytest.raises(ContextStateError, match="no such voice"):
        context.push("y")
    context.no_more_inputs()  # which has nothing left to say, and so is no error


# ---- receiving


def test_events_that_came_before_receive_are_kept(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    for n in range(50):
        stage.wire.feed_chunk("a", bytes([n]))
    stage.wire.feed_done("a")
    events = list(context.receive())
    assert [event.type for event in events] == ["chunk"] * 50 + ["done"]
    assert [event.audio for event in events[:-1]] == [bytes([n]) for n in range(50)]


def test_interleaved_events_reach_only_their_own_context(stage: Any) -> None:
    contexts = {name: stage.context(name) for name in "abcd"}
    start = threading.Barrier(len(contexts))

    def receive_all(name: str) -> list[bytes]:
        contexts[name].push("x")
        start.wait(BOUND)
        if name == "a":
            for n in range(100):
                for other in contexts:
                    stage.wire.feed_chunk(other, f"{other}{n}".encode())
            for other in contexts:
                stage.wire.feed_done(other)
        return audio_of(contexts[name])

    with ThreadPoolExecutor(len(contexts)) as pool:
        heard = {name: pool.submit(receive_all, name) for name in contexts}
        for name, result in heard.items():
            assert result.result(BOUND) == [f"{name}{n}".encode() for n in range(100)]


def test_a_context_left_by_break_goes_on_where_it_stopped(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    for n in range(3):
        stage.wire.feed_chunk("a", bytes([n]))
    stage.wire.feed_done("a")
    for event in context.receive():
        assert event.audio == b"\0"
        break
    assert audio_of(context) == [b"\1", b"\2"]


def test_receive_after_the_end_ends_at_once(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_done("a")
    assert len(list(context.receive())) == 1
    assert list(context.receive()) == []


def test_a_second_thread_in_one_contexts_receive_is_refused_at_once(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_chunk("a", b"1")
    receiver = context.receive()
    next(receiver)  # this thread is in its loop, between two events

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ConcurrencyError, match="'a'"):
            pool.submit(next, context.receive()).result(BOUND)
        stage.wire.feed_chunk("a", b"2")
        assert next(receiver).audio == b"2"
        receiver.close()
        stage.wire.feed_done("a")
        assert pool.submit(next, context.receive()).result(BOUND).type == "done"


def test_a_receiver_that_is_gone_lets_another_thread_in(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_chunk("a", b"1")
    for _ in context.receive():
        break
    gc.collect()
    stage.wire.feed_done("a")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: [e.type for e in context.receive()]).result(BOUND) == ["done"]


def test_a_thread_that_waits_and_a_second_one_the_second_is_refused(stage: Any, entered: Any) -> None:
    context = stage.context("a")
    context.push("x")
    with ThreadPoolExecutor(1) as pool:
        is_in = entered(type(context._channel.mailbox), "wait")
        waiting = pool.submit(lambda: list(context.receive()))
        assert is_in.wait(BOUND)
        with pytest.raises(ConcurrencyError):
            next(context.receive())
        stage.wire.feed_done("a")
        assert [event.type for event in waiting.result(BOUND)] == ["done"]


def test_an_error_event_is_yielded_and_ends_the_iteration(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_error("a", title="Nope", message="not today", error_code="quota_exceeded")
    stage.wire.feed_chunk("a", b"late")
    (event,) = context.receive()
    assert (event.type, event.error, event.error_code) == ("error", "Nope: not today", "quota_exceeded")
    assert list(context.receive()) == []


def test_an_error_that_is_not_done_is_yielded_and_ends_nothing(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_error("a", done=False, message="a warning")
    stage.wire.feed_done("a")
    assert [event.type for event in context.receive()] == ["error", "done"]


@pytest.mark.parametrize(("status", "kind"), [(400, BadRequestError), (429, RateLimitError), (None, APIError)], ids=str)
def test_raise_on_error_raises_the_exception_of_the_status(stage: Any, status: Any, kind: type[APIError]) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_error("a", status_code=status, message="no", error_code="c", request_id="r")
    with pytest.raises(kind, match="no") as caught:
        list(context.receive(raise_on_error=True))
    assert type(caught.value) is kind
    if status:
        assert (caught.value.error_code, caught.value.request_id) == ("c", "r")  # type: ignore[attr-defined]  # a status error
    assert list(context.receive()) == []


def test_an_error_of_the_whole_connection_reaches_every_context_and_ends_none(stage: Any) -> None:
    contexts = [stage.context(name) for name in "ab"]
    for context in contexts:
        context.push("x")
    stage.wire.feed_error(None, message="cannot read that")
    for name in "ab":
        stage.wire.feed_chunk(name, name.encode())
        stage.wire.feed_done(name)
    for context in contexts:
        events = list(context.receive(raise_on_error=True))
        assert [(event.type, event.context_id) for event in events] == [
            ("error", None),
            ("chunk", context.context_id),
            ("done", context.context_id),
        ]


def test_an_event_of_an_unknown_type_is_yielded_and_ends_nothing(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed({"type": "visemes", "context_id": "a", "done": True, "shapes": [1, 2]})
    stage.wire.feed_done("a")
    unknown, done = context.receive()
    assert (unknown.type, unknown.fields["shapes"], done.type) == ("visemes", [1, 2], "done")


def test_an_event_that_cannot_be_read_ends_its_context_alone(stage: Any) -> None:
    spoiled, sound = stage.context("a"), stage.context("b")
    for context in (spoiled, sound):
        context.push("x")
    stage.wire.feed_chunk("a", b"ok")
    stage.wire.feed_bytes(b'{"type":"chunk","context_id":"a","data":"@"}')
    stage.wire.feed_done("b")
    receiver = spoiled.receive()
    assert next(receiver).audio == b"ok"
    with pytest.raises(ProtocolError, match="'a'"):
        next(receiver)
    assert [event.type for event in sound.receive()] == ["done"]
    assert stage.wire.wait_sent(3)[2] == {"context_id": "a", "cancel": True}


SPOILT = [
    (b"not json", 1002),
    (b"[]", 1002),
    (b"{}", 1002),
    (b'{"type":"done"}', 1002),
    (b'{"data":"AAAA"}', 1002),
    (b'{"context_id":"nobody","data":"AAAA"}', 1002),
    (b"\xff", 1007),
    (BinaryMessage(b"\1\2"), 1003),
]


@pytest.mark.parametrize(("message", "code"), SPOILT, ids=[repr(message) for message, _ in SPOILT])
def test_a_message_that_nobody_can_attribute_ends_the_connection(stage: Any, message: bytes, code: int) -> None:
    whole, part = stage.context("a"), stage.context("b")
    for context in (whole, part):
        context.push("x", continue_=False)
        stage.wire.feed_chunk(context.context_id, b"12")
    stage.wire.feed_done("a")
    stage.wire.feed_bytes(message)
    stage.wire.feed_done("b")
    assert whole.audio() == b"12"
    with pytest.raises(TruncatedError) as caught:
        part.audio()
    assert isinstance(caught.value.__cause__, ProtocolError)
    assert stage.wire.closed_with == (code, "")
    stage.context("c").push("x")
    assert len(stage.wires) == 2


@pytest.mark.parametrize("message", [b'{"type":"news","more":[1]}', b'{"type":"flush_done"}', b'{"type":"timestamps"}'])
def test_a_side_event_that_names_no_context_is_counted_and_ends_nothing(stage: Any, message: bytes) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_bytes(message)
    stage.wire.feed_done("a")
    assert [event.type for event in context.receive()] == ["done"]
    assert stage.link.stats.stray_events == 1


# ---- routing of late events


def test_late_events_of_an_ended_context_reach_nobody_and_end_nobody(stage: Any) -> None:
    ended, other = stage.context("a"), stage.context("b")
    for context in (ended, other):
        context.push("x")
    stage.wire.feed_done("a")
    stage.wire.feed_chunk("a", b"late")
    stage.wire.feed_done("a")
    stage.wire.feed_chunk("b", b"b")
    stage.wire.feed_chunk("never opened", b"?")
    stage.wire.feed_done("b")
    assert audio_of(other) == [b"b"]
    assert audio_of(ended) == []
    assert (stage.link.registry.late_events, stage.link.stats.stray_events) == (2, 1)


def test_an_id_that_was_used_is_refused(stage: Any) -> None:
    first = stage.context("a")
    with pytest.raises(ValueError, match="'a'"):
        stage.context("a")
    first.push("x")
    stage.wire.feed_done("a")
    list(first.receive())
    with pytest.raises(ContextStateError, match="new id"):
        stage.context("a")


@pytest.mark.parametrize("context_id", ["", "a\r\nb", "a\0"])
def test_an_id_that_could_do_harm_is_refused(stage: Any, context_id: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        stage.context(context_id)


def test_threads_that_make_contexts_at_once_never_share_an_id(stage: Any) -> None:
    start = threading.Barrier(8)

    def make() -> int:
        start.wait(BOUND)
        made = 0
        for n in range(200):
            try:
                stage.context(f"same-{n}").no_more_inputs()
                made += 1
            except ContextStateError:
                pass
        return made

    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(make) for _ in range(8)]
        assert sum(result.result(BOUND) for result in results) == 200


# ---- cancelling


def test_cancel_wakes_a_receiver_which_ends_without_error(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(lambda: list(context.receive()))
        context.cancel()
        assert heard.result(BOUND) == []
    assert stage.wire.wait_sent(2)[1:] == [{"context_id": "a", "cancel": True}]


def test_events_of_a_cancelled_context_never_reach_another(stage: Any) -> None:
    """In the official client the other one heard 19 of them, and was ended by the late ``done``."""
    cancelled, other = stage.context("a"), stage.context("b")
    for context in (cancelled, other):
        context.push("x")
    cancelled.cancel()
    for _ in range(19):
        stage.wire.feed_chunk("a", b"late")
    stage.wire.feed_done("a")
    stage.wire.feed_chunk("b", b"b")
    stage.wire.feed_done("b")
    assert audio_of(other) == [b"b"]
    assert stage.link.registry.late_events == 20


def test_cancel_drops_what_was_not_received_unless_asked_to_keep_it(stage: Any) -> None:
    for discard, expected in ((True, []), (False, [b"1"])):
        context = stage.context(f"discard-{discard}")
        context.push("x")
        stage.wire.feed_chunk(context.context_id, b"1")
        stage.wire.feed_chunk("marker", b"")
        strays = stage.link.stats.stray_events
        other = stage.context(f"other-{discard}")
        other.push("x")
        stage.wire.feed_done(other.context_id)
        list(other.receive())  # so that the reader is past the chunk
        assert stage.link.stats.stray_events >= strays
        context.cancel(discard=discard)
        assert audio_of(context) == expected


def test_cancel_twice_sends_one_message_and_after_the_end_none(stage: Any) -> None:
    context, done = stage.context("a"), stage.context("b")
    for each in (context, done):
        each.push("x")
    context.cancel()
    context.cancel()
    stage.wire.feed_done("b")
    list(done.receive())
    done.cancel()
    assert [said for said in stage.wire.sent if "cancel" in said] == [{"context_id": "a", "cancel": True}]
    with pytest.raises(ContextStateError, match="cancelled"):
        context.push("y")
    context.no_more_inputs()


def test_cancel_before_anything_was_said_sends_nothing(stage: Any) -> None:
    context = stage.context("a")
    context.cancel()
    assert stage.wire.sent == []
    assert list(context.receive()) == []


def test_cancel_on_a_lost_connection_still_ends_the_receiver(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.lose()
    assert stage.wire.is_free.wait(BOUND)
    context.cancel()
    assert list(context.receive()) == []


def test_a_context_used_with_with_is_cancelled_when_left_early(stage: Any) -> None:
    with stage.context("a") as context:
        context.push("x")
    assert stage.wire.wait_sent(2)[1:] == [{"context_id": "a", "cancel": True}]
    with stage.context("b") as context:
        context.push("x")
        stage.wire.feed_done("b")
        list(context.receive())
    assert len(stage.wire.sent) == 3


# ---- losing the connection


def test_loss_wakes_every_waiting_receiver_with_an_exception_of_its_own(stage: Any) -> None:
    contexts = [stage.context(str(n)) for n in range(8)]
    for context in contexts:
        context.push("text", continue_=False)
    errors = []

    def receive_all(context: Any) -> TruncatedError:
        with pytest.raises(TruncatedError) as caught:
            list(context.receive())
        return caught.value

    with ThreadPoolExecutor(8) as pool:
        heard = [pool.submit(receive_all, context) for context in contexts]
        stage.wire.lose(WebSocketConnectionClosedError("idle", code=1000, reason="connection idle timeout"))
        errors = [each.result(BOUND) for each in heard]
    assert len({id(error) for error in errors}) == 8
    assert {error.context_id for error in errors} == {str(n) for n in range(8)}
    for error in errors:
        assert (error.code, error.reason) == (1000, "connection idle timeout")
        assert (error.heard, error.audio_bytes, error.transcripts) == (False, 0, ("text",))
        assert isinstance(error.__cause__, WebSocketConnectionClosedError)


def test_what_had_arrived_is_received_before_the_loss_is_raised(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_chunk("a", bytes(88200))
    stage.wire.lose()
    receiver = context.receive()
    assert len(next(receiver).audio) == 88200
    with pytest.raises(TruncatedError, match=r"1\.00 s") as caught:
        next(receiver)
    assert (caught.value.audio_bytes, caught.value.audio_seconds, caught.value.heard) == (88200, 1.0, True)
    with pytest.raises(TruncatedError):
        list(context.receive())  # asked again, it says so again


def test_a_bug_in_the_reader_reaches_every_receiver(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.lose(ZeroDivisionError("a bug"))
    with pytest.raises(TruncatedError, match="ZeroDivisionError") as caught:
        list(context.receive())
    assert isinstance(caught.value.__cause__, CartesiaError)
    assert isinstance(caught.value.__cause__.__cause__, ZeroDivisionError)


def test_our_own_close_is_no_normal_end_for_a_context_that_is_not_whole(stage: Any, entered: Any) -> None:
    whole, part = stage.context("a"), stage.context("b")
    for context in (whole, part):
        context.push("x")
    stage.wire.feed_chunk("a", b"a")
    stage.wire.feed_done("a")
    stage.wire.feed_chunk("b", b"b")
    assert next(part.receive()).audio == b"b"
    with ThreadPoolExecutor(1) as pool:
        is_in = entered(type(part._channel.mailbox), "wait")
        waiting = pool.submit(lambda: list(part.receive()))
        assert is_in.wait(BOUND)
        stage.connection.close()
        with pytest.raises(TruncatedError, match=r"close\(\)"):
            waiting.result(BOUND)
    assert audio_of(whole) == [b"a"]
    with pytest.raises(WebSocketConnectionClosedError, match=r"close\(\)"):
        part.push("y")
    with pytest.raises(WebSocketConnectionClosedError, match=r"close\(\)"):
        stage.context("c")


# ---- whole audio


def test_audio_is_the_whole_or_an_exception(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_chunk("a", b"12")
    stage.wire.feed_chunk("a", b"34")
    context.no_more_inputs()
    stage.wire.feed_done("a")
    assert context.audio() == b"1234"
    with pytest.raises(ContextStateError, match="received already"):
        context.audio()


def test_audio_of_a_context_that_was_partly_received_is_refused(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_chunk("a", b"12")
    next(context.receive())
    stage.wire.feed_chunk("a", b"34")
    stage.wire.feed_done("a")
    with pytest.raises(ContextStateError, match="received already"):
        context.audio()


@pytest.mark.parametrize("end", ["cancel", "error", "loss"])
def test_audio_that_is_cut_short_is_raised_and_leaves_no_file(stage: Any, tmp_path: Path, end: str) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_chunk("a", b"12")
    expected: type[Exception] = {"cancel": ContextStateError, "error": BadRequestError, "loss": TruncatedError}[end]
    with ThreadPoolExecutor(1) as pool:
        saved = pool.submit(context.save, tmp_path / "x.wav")
        if end == "error":
            stage.wire.feed_error("a", message="no")
        elif end == "loss":
            stage.wire.lose()
        else:
            context.cancel(discard=False)
        with pytest.raises(expected):
            saved.result(BOUND)
    assert list(tmp_path.iterdir()) == []


def test_save_writes_a_wav_file_with_the_asked_for_format(stage: Any, tmp_path: Path) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_chunk("a", b"\1\2\3")  # a sample may be split between chunks
    stage.wire.feed_chunk("a", b"\4")
    context.no_more_inputs()
    stage.wire.feed_done("a")
    assert context.save(tmp_path / "x.wav") == pytest.approx(2 / 44100)
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (44100, 2, 1)
        assert file.readframes(9) == b"\1\2\3\4"


def test_save_writes_to_a_file_object_in_one_piece_at_the_end(stage: Any) -> None:
    context, file = stage.context("a"), io.BytesIO()
    context.push("x", continue_=False)
    stage.wire.feed_chunk("a", b"\1\2\3\4")
    stage.wire.feed_done("a")
    assert context.save(file) == pytest.approx(2 / 44100)
    file.seek(0)
    with wave.open(file) as found:
        assert (found.getnframes(), found.readframes(9)) == (2, b"\1\2\3\4")


def test_save_tells_in_the_callers_thread_how_much_there_is(stage: Any, tmp_path: Path) -> None:
    context, told = stage.context("a"), []

    def tell(seconds: float) -> None:
        told.append((threading.current_thread(), round(seconds * 44100)))
        if len(told) == 1:
            stage.wire.feed_chunk("a", b"\5\6")
            stage.wire.feed_done("a")

    context.push("x", continue_=False)
    stage.wire.feed_chunk("a", b"\1\2\3\4")
    assert context.save(tmp_path / "x.wav", on_progress=tell) == pytest.approx(3 / 44100)
    assert {thread for thread, _ in told} == {threading.current_thread()}
    samples = [count for _, count in told]
    assert (samples[0], samples[-1], samples) == (2, 3, sorted(samples))


def test_save_whose_listener_fails_can_be_asked_again(stage: Any, tmp_path: Path) -> None:
    context = stage.context("a")
    context.push("x", continue_=False)
    stage.wire.feed_chunk("a", b"\1\2")
    stage.wire.feed_done("a")

    def fail(_: float) -> None:
        raise KeyboardInterrupt("stop")

    with pytest.raises(KeyboardInterrupt, match="stop"):
        context.save(tmp_path / "x.wav", on_progress=fail)
    assert list(tmp_path.iterdir()) == []
    assert context.save(tmp_path / "x.wav") == pytest.approx(1 / 44100)


def test_samples_are_floats_whatever_the_split(stage: Any) -> None:
    context, split = stage.context("a"), stage.context("b")
    sound = np.array([0, 16384, -32768, 1], "<i2").tobytes()
    for each, sizes in ((context, (8,)), (split, (1, 3, 1, 1, 2))):
        each.push("x", continue_=False)
        start = 0
        for size in sizes:
            stage.wire.feed_chunk(each.context_id, sound[start : start + size])
            start += size
        stage.wire.feed_done(each.context_id)
    expected = [0.0, 0.5, -1.0, 1 / 32768]
    assert context.samples().tolist() == expected
    chunks = [event for event in split.receive() if event.type == "chunk"]
    assert [chunk.samples().tolist() for chunk in chunks] == [[], expected[:2], [], [-1.0], [1 / 32768]]
    assert np.concatenate([chunk.raw() for chunk in chunks]).tolist() == [0, 16384, -32768, 1]


def test_a_context_that_said_nothing_is_whole_and_has_no_samples(stage: Any) -> None:
    first, second = stage.context("a"), stage.context("b")
    for each in (first, second):
        each.no_more_inputs()
    assert first.audio() == b""
    assert second.samples().shape == (0,)


# ---- clocks: the bound of a test is far away, so that what ends it is the clock


def test_a_context_that_is_not_answered_ends_by_the_first_event_clock(make_stage: Callable[..., Any]) -> None:
    stage = make_stage(Timeout(first_event=0.01, gap=None))
    context = stage.context("a")
    context.push("text")
    with pytest.raises(FirstEventTimeoutError, match="not answered") as caught:
        list(context.receive())
    assert (caught.value.timeout, caught.value.heard, caught.value.transcripts) == (0.01, False, ("text",))
    assert isinstance(caught.value, TimeoutError)
    assert stage.wire.wait_sent(2)[-1] == {"context_id": "a", "cancel": True}
    assert list(context.receive()) == []


def test_a_context_that_goes_silent_ends_by_the_gap_clock_after_what_had_arrived(stage: Any) -> None:
    context = stage.context("a", timeout=0.01, first_event_timeout=None)
    context.push("x")
    stage.wire.feed_chunk("a", b"1234")
    receiver = context.receive()
    assert next(receiver).audio == b"1234"
    with pytest.raises(GapTimeoutError, match="went silent") as caught:
        next(receiver)
    assert (caught.value.heard, caught.value.audio_bytes) == (True, 4)


def test_the_clock_of_the_whole_ends_a_context_that_keeps_talking(stage: Any) -> None:
    context = stage.context("a", whole_timeout=0.01)
    context.push("x")

    def keep_talking() -> None:
        for _ in context.receive():
            stage.wire.feed_chunk("a", b"1")

    stage.wire.feed_chunk("a", b"1")
    with pytest.raises(ContextTimeoutError, match="did not end"):
        keep_talking()


def test_a_busy_neighbour_does_not_feed_a_contexts_clock(stage: Any) -> None:
    """In the official client each frame of another context wound the clock up again."""
    silent, busy = stage.context("a", first_event_timeout=0.05), stage.context("b")
    silent.push("x")
    busy.push("x")
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            stage.wire.feed_chunk("b", b"1")
            next(busy.receive())

    with ThreadPoolExecutor(1) as pool:
        talking = pool.submit(talk)
        with pytest.raises(FirstEventTimeoutError):
            list(silent.receive())
        stop.set()
        talking.result(BOUND)


def test_a_clock_given_to_receive_goes_before_the_contexts(stage: Any) -> None:
    context = stage.context("a", timeout=0.001, first_event_timeout=None)
    context.push("x")
    stage.wire.feed_chunk("a", b"1")
    with ThreadPoolExecutor(1) as pool:
        receiver = context.receive(timeout=None)
        next(receiver)
        waiting = pool.submit(next, receiver)
        stage.wire.feed_done("a")
        assert waiting.result(BOUND).type == "done"


def test_a_timeout_alone_means_the_first_event_too(stage: Any) -> None:
    """As in the official client, where it is the time to wait for each event."""
    for arguments, call in (({"timeout": 0.01}, {}), ({}, {"timeout": 0.01})):
        context = stage.context(f"a{len(arguments)}", **arguments)
        context.push("x")
        with pytest.raises(FirstEventTimeoutError, match=r"0\.01 s"):
            list(context.receive(**call))


def test_no_clock_runs_before_the_first_push_and_the_push_starts_it_for_who_waits(stage: Any, entered: Any) -> None:
    context = stage.context("a", first_event_timeout=0.01)
    with ThreadPoolExecutor(1) as pool:
        is_in = entered(type(context._channel.mailbox), "wait")
        waiting = pool.submit(lambda: list(context.receive()))
        assert is_in.wait(BOUND)
        context.push("x")
        with pytest.raises(FirstEventTimeoutError):
            waiting.result(BOUND)


def test_a_timeout_names_the_trouble_that_the_connection_had_reported(stage: Any) -> None:
    """And the report is no event of the context's own, which would wind its clock up."""
    context = stage.context("a", first_event_timeout=0.05, timeout=None)
    context.push("x")
    stage.wire.feed_error(None, message="cannot read that")
    receiver = context.receive()
    assert next(receiver).type == "error"
    with pytest.raises(FirstEventTimeoutError, match="cannot read that"):
        next(receiver)


# ---- limits


def test_a_context_that_is_not_read_ends_alone_at_its_limit(stage: Any) -> None:
    """The limit weighs the audio's bytes."""
    asleep, awake = stage.context("a", max_queued_bytes=3000), stage.context("b", max_queued_bytes=3000)
    asleep.push("x", continue_=False)
    awake.push("x", continue_=False)
    for _ in range(10):
        stage.wire.feed_chunk("a", bytes(900))
        stage.wire.feed_chunk("b", bytes(900))
        next(awake.receive())
    stage.wire.feed_done("a")
    stage.wire.feed_done("b")
    assert [event.type for event in awake.receive()] == ["done"]
    receiver = asleep.receive()
    assert [len(next(receiver).audio) for _ in range(3)] == [900] * 3
    with pytest.raises(MailboxFullError, match="3000 bytes") as caught:
        next(receiver)
    assert (caught.value.limit_bytes, caught.value.audio_bytes, caught.value.context_id) == (3000, 2700, "a")
    assert stage.wire.wait_sent(3)[-1] == {"context_id": "a", "cancel": True}
    assert len(stage.link.registry._router) == 0


def test_one_event_alone_may_be_larger_than_the_limit(stage: Any) -> None:
    context = stage.context("a", max_queued_bytes=10)
    context.push("x", continue_=False)
    stage.wire.feed_chunk("a", bytes(900))
    assert len(next(context.receive()).audio) == 900
    stage.wire.feed_done("a")
    assert [event.type for event in context.receive()] == ["done"]


def test_the_end_of_a_context_is_never_refused_for_lack_of_room(stage: Any) -> None:
    context = stage.context("a", max_queued_bytes=1300)
    context.push("x", continue_=False)
    stage.wire.feed_chunk("a", bytes(900))
    stage.wire.feed_done("a")
    assert len(context.audio()) == 900


def test_where_all_contexts_together_reach_the_limit_the_one_in_which_most_waits_ends(
    make_stage: Callable[..., Any],
) -> None:
    stage = make_stage(max_queued_bytes=10_000)
    hog, other, awake = (stage.context(name) for name in ("hog", "other", "awake"))
    for context in (hog, other, awake):
        context.push("x", continue_=False)
    for n in range(20):
        if n < 5:
            stage.wire.feed_chunk("hog", bytes(1500))
        if n < 2:
            stage.wire.feed_chunk("other", bytes(900))
        stage.wire.feed_chunk("awake", bytes(900))
        next(awake.receive())
    for name in ("other", "awake"):
        stage.wire.feed_done(name)
    assert [event.type for event in awake.receive()] == ["done"]
    assert len(other.audio()) == 1800
    with pytest.raises(MailboxFullError, match="connection's limit of 10000 bytes"):
        hog.audio()


# ---- nothing left behind


def test_a_context_that_nobody_holds_is_cancelled_and_forgotten(stage: Any) -> None:
    context, other = stage.context("a"), stage.context("b")
    context.push("x")
    other.push("x")
    ghost = weakref.ref(context)
    del context
    gc.collect()
    assert ghost() is None
    stage.wire.feed_chunk("a", b"1")
    stage.wire.feed_done("b")
    list(other.receive())
    assert stage.wire.wait_sent(3)[2] == {"context_id": "a", "cancel": True}
    assert len(stage.link.registry._router) == 0


def test_a_finished_context_leaves_nothing_in_the_router(stage: Any) -> None:
    for n in range(100):
        context = stage.context(str(n))
        context.push("x")
        stage.wire.feed_done(str(n))
        list(context.receive())
    assert len(stage.link.registry._router) == 0
