"""The user's handle to one context: send text, receive its events."""

from __future__ import annotations

import functools
import warnings
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Optional, TypeVar, Union

from ..errors import ContextStateError
from ..protocol import codec
from ..protocol.events import Chunk, Done, Event
from ..protocol.formats import (
    DEFAULT_OUTPUT_FORMAT,
    RawFormat,
    RawOutputFormatParam,
    VoiceSpecifierParam,
    voice_on_the_wire,
)
from ..protocol.lifecycle import ChannelMove, ChannelState
from ..protocol.metrics import Metrics
from ..protocol.requests import GenerationRequest, Omit, SpeechOptions, omit
from ..protocol.timeouts import Timeout
from .channel import Channel, Message
from .flushes import by_flush
from .link import Link
from .mailbox import End
from .pump import Speech
from .receiver import Receiver, Turn, is_end, raise_if_error

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from ..audio.files import BinaryTarget

T = TypeVar("T")

_NONE_IS_NOT_SENT = frozenset(
    ("model_id", "output_format", "language", "speed", "add_timestamps", "add_phoneme_timestamps", "generation_config")
)
"""The arguments of a request whose None the official client leaves out; of all others it sends null."""

DEFAULT_MODEL_ID = "sonic-latest"
DEFAULT_VOICE_ID = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
"""What the official client names in the closing message of a context that has no voice of its own."""


class Context:
    """One transcript and its speech on a shared connection; made by ``connection.context()``.

    Text goes out by ``push`` and ``no_more_inputs``, in pieces; events come in by ``receive``, or the whole audio by
    ``audio``, ``samples`` and ``save``. Used in a ``with`` block it is cancelled when the block is left before its
    end.

    Threads: any thread may send, any other may receive at the same time, and any may cancel. One thread receives at a
    time; the number of contexts that are received from at once is not limited.
    """

    def __init__(
        self,
        link: Link,
        channel: Channel,
        *,
        api_version: str,
        timeout: Timeout,
        options: SpeechOptions,
        keeps_alive: object,
    ) -> None:
        self._keeps_alive = keeps_alive  # the connection, which stays open for as long as somebody holds the context
        self._link = link
        self._channel = channel
        self._api_version = api_version
        self._timeout = timeout
        self._options: dict[str, Any] = {**options}  # what a request has unless the call names it
        self._turn = Turn(channel, link)

    def __repr__(self) -> str:
        return f"<Context {self.context_id!r} {self._channel.state.value}>"

    def __enter__(self) -> Context:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if not self._channel.mailbox.is_sealed:
            self.cancel()

    def __del__(self) -> None:
        channel = getattr(self, "_channel", None)
        if channel is not None and not channel.mailbox.is_sealed:
            self._link.discard(channel)

    def __reduce__(self) -> str:
        raise TypeError(
            "a Context speaks on a connection of this process and cannot travel to another; "
            "make a client, a connection and a context there"
        )

    def set_defaults(
        self, *, model_id: str, voice: Union[str, Mapping[str, Any]], output_format: Mapping[str, Any]
    ) -> None:
        """Set how the context is to be spoken, after it was made; before its first push.

        Args:
            model_id: For all pushes, such as ``sonic-latest``.
            voice: For all pushes: an id, or a mapping as for ``context()``.
            output_format: For all pushes: ``container``, ``encoding``, ``sample_rate`` in Hz.

        Threads: the one that pushes. Does not wait, and sends nothing.
        """
        self._options = {**self._options, "model_id": model_id, "voice": voice, "output_format": output_format}

    @property
    def line(self) -> Channel:
        """The inside, which was never meant for users; it goes with version 0.3."""
        warnings.warn("Context.line is private; what users need of it is on Context", DeprecationWarning, stacklevel=2)
        return self._channel

    @property
    def clocks(self) -> Timeout:
        """The timeouts of ``receive``, which were never meant to be read here; it goes with version 0.3."""
        warnings.warn("Context.clocks is private; give timeouts to context()", DeprecationWarning, stacklevel=2)
        return self._timeout

    @property
    def context_id(self) -> str:
        """The id under which the service knows this context."""
        return self._channel.context_id

    @property
    def transcripts(self) -> tuple[str, ...]:
        """The pieces of text that were sent, in order; after a push that was interrupted it says whether it was."""
        return tuple(self._channel.transcripts)

    @property
    def metrics(self) -> Metrics:
        """What was measured until now: waits, the first audio, gaps, lengths. Threads: any. Does not wait."""
        return self._channel.metrics

    @property
    def request_id(self) -> Optional[str]:
        """The service's identifier, to quote to its support: of its error, else of the connection; None if it has none.

        The service documents it on errors; whether it gives one when a connection opens is not documented.
        """
        return self._channel.request_id

    # ---- sending

    def push(
        self,
        transcript: str,
        *,
        continue_: bool = True,
        voice: Union[VoiceSpecifierParam, Omit] = omit,
        **fields: Any,
    ) -> None:
        """Hand the service one more piece of the transcript.

        Returns once the bytes have left, not once they are spoken. What comes before the first letter or digit is not
        sent at once, since the service refuses that: it leaves in front of it.

        Args:
            transcript: Text to speak. Pieces are joined as they are, so keep the spaces between words.
            continue_: Whether more may follow; False does what ``no_more_inputs`` does.
            voice: In place of the context's.
            **fields: As for ``send``.

        Raises:
            ValueError: There is no voice, here or on the context.
            ContextStateError: After ``no_more_inputs``, ``cancel`` or the context's end.
            TruncatedError: The connection was lost after this context's first push.
            ForkedError: The connection is the parent process's.
            APIConnectionError: The connection cannot be opened, broke, or was closed by us.

        Threads: any. Messages of one connection leave one after the other; waits at most for the write timeout, and
            where a lost connection must be reopened for the connect timeout too.
        """
        chosen = self._voice_of(voice)
        if not isinstance(transcript, str):
            raise TypeError(f"a transcript is a str; got {type(transcript).__name__}")
        transcript.encode()  # a lone surrogate is refused now, and not with the text that it would lead
        message = self._message(transcript=transcript, voice=chosen, continue_=continue_, **fields)
        message.waits_for_words = True
        self._link.send(self._channel, message)

    def _voice_of(self, voice: Union[str, Mapping[str, Any], Omit]) -> Any:
        chosen: Any = self._options.get("voice") if isinstance(voice, Omit) else voice
        if chosen is None:
            raise ValueError("a push needs a voice: give one to connection.context() or to push()")
        return chosen

    def _post(self, transcript: str, *, voice: Union[str, Mapping[str, Any], Omit] = omit, **fields: Any) -> bool:
        """Push a piece and do not wait for it to leave; False where there is no wire for it."""
        message = self._message(transcript=transcript, voice=self._voice_of(voice), **fields)
        return self._link.post(self._channel, message)

    def send(
        self,
        *,
        transcript: str,
        voice: VoiceSpecifierParam,
        continue_: bool = True,
        flush: Union[bool, Omit, None] = omit,
        output_format: Union[RawOutputFormatParam, Omit, None] = None,
        **fields: Any,
    ) -> None:
        """Send one generation request with everything that the call names; what is left out comes from the context.

        Args:
            transcript: Text to speak.
            voice: A voice's id, or a mapping with the key ``id``; it is put in the shape of the API version in use.
            continue_: Whether more may follow on this context.
            flush: Whether to speak what is buffered now; see ``flush()``.
            output_format: In place of the context's; the default is raw 32-bit float at 44100 Hz.
            **fields: Any of ``SpeechOptions``, such as ``model_id`` (default ``sonic-latest``) or ``language``, in
                place of the context's. ``speed``: ``slow``, ``normal`` or ``fast``, deprecated by the service. Any
                further field of the request, as it is to stand in the JSON. None leaves ``language``, ``speed``, the
                timestamps and ``generation_config`` to the service; in any other field it is sent as null.

        Raises:
            TypeError: The transcript is no text, or a field has no form in JSON.
            ContextStateError, TruncatedError, APIConnectionError, ForkedError: As ``push``.

        Threads: as ``push``.
        """
        fields["output_format"] = output_format
        message = self._message(transcript=transcript, voice=voice, continue_=continue_, flush=flush, **fields)
        self._link.send(self._channel, message)

    def _message(
        self,
        *,
        transcript: str,
        voice: Union[str, Mapping[str, Any]],
        continue_: bool = True,
        flush: Union[bool, Omit, None] = omit,
        **fields: Any,
    ) -> Message:
        """Make the message of ``send``."""
        if not isinstance(transcript, str):
            raise TypeError(f"a transcript is a str; got {type(transcript).__name__}")
        options = {name: fields.pop(name) for name in [*fields] if name in _NONE_IS_NOT_SENT}
        options = {**self._options, **{name: value for name, value in options.items() if value is not omit}}
        model_id = _first_given(options.pop("model_id", None), self._options.get("model_id"), DEFAULT_MODEL_ID)
        output_format = _first_given(
            options.pop("output_format", None), self._options.get("output_format"), dict(DEFAULT_OUTPUT_FORMAT)
        )
        options.pop("voice", None)
        wire_id = self._channel.wire_id
        request = GenerationRequest(
            context_id=wire_id,
            model_id=model_id,
            transcript=transcript,
            voice=voice_on_the_wire(voice, self._api_version),
            output_format=output_format,
            continue_=continue_,
            flush=flush,
            **{name: value for name, value in options.items() if value is not None},
        )
        return Message(
            codec.encode(request.with_fields(fields)),
            wire_id=wire_id,
            transcript=transcript,
            move=ChannelMove.SEND if continue_ else ChannelMove.FINISH,
            flushes=flush is True,
            output_format=output_format,
        )

    @property
    def flush_id(self) -> int:
        """The number that chunks of the next push will carry: 1, and one more for each flush that was sent.

        The service numbers from 1 (docs page ``context-flushing-and-flush-i-ds``); not every version puts the number
        on chunks.
        """
        return self._channel.flushes + 1

    def flush(self) -> int:
        """Speak what is buffered now, rather than wait for more; the context stays open.

        A ``flush_done`` event answers it. Returns the number that it will carry, as will the chunks before it.

        Raises and threads: as ``push``.
        """
        flush_id = self.flush_id
        self.push("", flush=True)
        return flush_id

    def no_more_inputs(self) -> None:
        """Say that all text is sent, so that the service speaks the rest and ends the context.

        A second call does nothing, nor does one on a context that has ended, however it ended: that is what
        ``receive`` tells. Where nothing was ever pushed the
        service is not asked, since it refuses an empty first transcript: the context just ends.

        Raises:
            APIConnectionError, ForkedError: As ``push``.

        Threads: as ``push``.
        """
        channel = self._channel
        self._link.check_process()
        if channel.state is not ChannelState.OPEN or self._link.finish_unsent(channel):
            return
        try:
            self.send(transcript="", voice=self._options.get("voice") or DEFAULT_VOICE_ID, continue_=False)
        except ContextStateError:
            if channel.state is ChannelState.OPEN:
                raise
            # it ended while we spoke: by another thread's call, or by the service, whose word receive() passes on

    def cancel(self, *, discard: bool = True) -> None:
        """End this context now, without error for its receiver, and have the service stop speaking it.

        What the service sends for it from now on is dropped. A second call does nothing, nor does one after the end,
        but for the events that nobody has received yet.

        Args:
            discard: Whether those are dropped too; False keeps them for the receiver.

        Threads: any, on a lost connection too, and at any time: a signal's handler and a finalizer may call it, since
            it takes no lock. The receiver is woken at once, and the reader tells the service. Does not wait. A service
            that cannot be told is not an error.
        """
        self._link.cancel(self._channel, discard=discard)

    # ---- hearing

    def receive(
        self,
        *,
        raise_on_error: bool = False,
        timeout: Union[float, Omit, None] = omit,
        first_event_timeout: Union[float, Omit, None] = omit,
        whole_timeout: Union[float, Omit, None] = omit,
    ) -> Receiver:
        """Iterate this context's events as they come; the iteration ends with the context.

        ``done`` and an error event are yielded and end it. It may be left and taken up again by another call: nothing
        is lost. After the end it ends at once. An error that concerns the whole connection is yielded too, with
        ``context_id`` None, and ends nothing.

        Args:
            raise_on_error: Raise this context's error event, as the exception of its status, in place of yielding it.
            timeout: Seconds between two events, in place of the context's; None is no limit.
            first_event_timeout: Seconds from the first push to the first event; ``timeout`` if that alone is given.
            whole_timeout: Seconds from the first push to the end, in place of the context's.

        Raises:
            TruncatedError: The connection ended before the context did. What had arrived is yielded first.
            FirstEventTimeoutError, GapTimeoutError, ContextTimeoutError: That timeout passed; what had arrived is
                yielded first, and the context is cancelled.
            ProtocolError: The service sent an event for this context that cannot be read.
            APIStatusError: With ``raise_on_error``.
            ConcurrencyError: Another thread is in this context's ``receive``.

        Threads: any, one at a time. Waits for the service, as long as the timeouts allow.
        """
        timeouts = self._timeout.of_context(
            timeout=timeout, first_event_timeout=first_event_timeout, whole_timeout=whole_timeout
        )
        return Receiver(self._channel, self._turn, timeouts, raise_on_error=raise_on_error, keeps_alive=self)

    def receive_flushes(self, *, raise_on_error: bool = False) -> Iterator[tuple[int, Iterator[Event]]]:
        """Iterate the events by flush: for each, its number and an iterator over its events.

        Use an inner iterator up before the outer one goes on: what is left of it is skipped then. An event belongs to
        the flush that it names; one that names none belongs to the current one. Where chunks name none,
        ``flush_done`` parts the flushes. ``done`` or an error ends the last.

        Args:
            raise_on_error: Whether an error event of this context raises in place of being given.

        Raises and threads: as ``receive``; both iterators wait as it does.
        """
        receiver = self.receive(raise_on_error=raise_on_error)

        def begin() -> deque[Event]:
            receiver.peek()  # which takes over what an earlier one had looked at ahead
            return self._channel.mailbox.ahead()

        return by_flush(receiver, begin)

    def speak(
        self,
        text: Union[str, Iterable[str]],
        *,
        on_expiry: Literal["continue", "raise"] = "continue",
        **fields: Any,
    ) -> Speech:
        """Push pieces of text as an iterable yields them, and iterate the audio's events meanwhile.

        The iterable, such as a language model's answer, runs on a thread of its own, in a copy of the caller's
        ``contextvars``. Nothing is sent before a letter or digit has come; what came before it leaves in front of it.
        A tag, such as ``<break time="1s"/>``, leaves whole, or as it is after half a second without another piece. A
        text without a letter or digit ends without events. After its last piece the context is finished. An exception
        in it is raised here, after the events that had arrived; the context is cancelled.
        While it is slow, no timeout but the whole context's runs. The service ends a context about a second after its
        last audio, though (docs page ``concurrency-limits-and-timeouts``). What comes later than that is spoken in a
        new context of the service's, and so is what had been sent and was not spoken. Here it is one context still:
        one iteration, one ``done``, times and flush numbers that go on, and this ``context_id``.

        Args:
            text: Pieces of text, joined as they are; one text is one piece. A generator is closed at the end; anything
                else, such as an open file, is the caller's to close.
            on_expiry: ``"raise"`` raises ``ContextStateError`` where the text comes too late, in place of going on. So
                it is too where the service ends a context of which no audio came, or whose encoding is not documented:
                its length, which the next times must follow, is not known.
            **fields: Further fields of each request, as for ``send``.

        Returns an iterator of events with ``close()``, to be used in ``with`` or to its end: closing it early cancels
        the context, and ends the thread as soon as the iterable yields again.

        Raises:
            TypeError: The text is no iterable of texts.
            ValueError: ``on_expiry`` is neither.
            ForkedError: The connection is the parent process's.
            APIConnectionError: The system gives no thread for it; the context is as it was.
            Others, and threads: As ``receive`` for the iterator. Does not wait.
        """
        if on_expiry not in ("continue", "raise"):
            raise ValueError(f"on_expiry is 'continue' or 'raise'; got {on_expiry!r}")
        return Speech(
            self._channel,
            self._turn,
            self._timeout,
            text,
            push=functools.partial(self.push, **fields),
            post=functools.partial(self._post, **fields),
            finish=self.no_more_inputs,
            keeps_alive=self,
            continues=on_expiry == "continue",
        )

    def __iter__(self) -> Iterator[Event]:
        """Do what ``receive()`` does."""
        return self.receive()

    def audio(self) -> bytes:
        """Return the whole audio, in the encoding that was asked for. Waits until the context has ended.

        Never a part: whatever keeps it from being whole is raised. Interrupted, it can be asked again: what it took
        stays with the context. A text without a letter or digit is whole without audio, which is b"".

        Raises:
            ContextStateError: Some of it was received before, or the context was cancelled.
            UnfinishedError: The service ended the context before its text was at its end: it expired before
                ``no_more_inputs()``, the service's word crossed our last text, or there were words and no audio came.
                Where audio of earlier text arrived after our last text was sent, nobody can tell.
            APIStatusError: The service refused.
            TruncatedError and others: As ``receive``.

        Threads: as ``receive``.
        """
        return self._whole()[0]

    def _whole(self) -> tuple[bytes, list[Event]]:
        """Return the whole audio, and all events. As ``audio``."""
        mailbox = self._channel.mailbox
        self._check_nothing_was_given()
        receiver = self.receive(raise_on_error=True)
        last: Optional[Event] = None
        while not (isinstance(receiver.peek(), End) or isinstance(last, Done)):
            for event in mailbox.collect():
                last = self._heard(event)
        events = list(mailbox.collected)
        audio = b"".join([event.audio for event in events if isinstance(event, Chunk)])
        self._check_whole(audio_bytes=len(audio), last=last)
        nothing = deque[Event]()
        self._channel.has_given_audio = True
        mailbox.collected = nothing
        return audio, events

    def _heard(self, event: Event) -> Event:
        """Take note of an event that was collected; raise the exception of this context's error."""
        if self._channel.tellers and is_end(event):
            self._channel.tell_of_end(event)
        return raise_if_error(event, self._channel)

    def samples(self) -> NDArray[np.float32]:
        """Return the whole audio as float32 samples, shape (n,), -1 to 1. Otherwise as ``audio``."""
        from ..audio.samples import to_samples

        audio = self.audio()
        return to_samples(audio, self._raw_format().encoding if audio else "pcm_f32le")

    def save(
        self,
        path: Union[str, os.PathLike[str], BinaryTarget],
        *,
        on_progress: Optional[Callable[[float], object]] = None,
    ) -> float:
        """Write the whole audio to a WAV file; return its length in seconds.

        The file appears under its name only when it is whole, and keeps the encoding that was asked for. It is opened
        before anything is taken, so that a path that is no good costs no audio. Otherwise as ``audio``; the audio is
        written as it comes, and never held as a whole; but where writing it fails or is interrupted, what was written
        goes back to the context, so that ``save`` can be called again. Only where the very last step fails, by which
        the file gets its name, is the audio gone, and asking again raises.

        Args:
            path: Where the file is to be; one that is there already is replaced once the new one is whole. Or a
                writable binary file object, which gets it in one piece at the end, and is left open.
            on_progress: Called in this thread with the seconds of audio that are there, each time that more came.
                What it raises ends this call as an interrupt does.

        Raises:
            OSError: The file cannot be written.
            ContextStateError: Also where there is no audio to save, since the text has no letter or digit.
            Others: As ``audio``.

        Threads: as ``receive``, and waits as it does, until the context's end.
        """
        from ..audio.wav import WavWriter

        mailbox = self._channel.mailbox
        self._check_nothing_was_given()
        receiver = self.receive(raise_on_error=True)
        last: Optional[Event] = None
        dropped_bytes = 0  # of the audio that was written, and that the context holds no more
        with WavWriter(path) as wav:
            try:
                while not (isinstance(receiver.peek(), End) or isinstance(last, Done)):
                    for event in mailbox.collect():
                        last = self._heard(event)
                        if isinstance(event, Chunk):
                            wav.format = self._raw_format()
                            wav.write(event.audio)
                    written_bytes, kept = wav.audio_bytes, deque[Event]([last] if isinstance(last, Done) else [])
                    dropped_bytes, mailbox.collected = written_bytes, kept  # one step: no interrupt parts the two
                    if on_progress is not None:
                        on_progress(wav.seconds)
                self._check_whole(audio_bytes=dropped_bytes, last=last)
                if not dropped_bytes:
                    raise ContextStateError(
                        f"context {self.context_id!r} has no audio to save: there is no letter or digit in its text; "
                        "no file was made"
                    )
            except BaseException:  # an interrupt too: what was written goes back to the context
                if dropped_bytes:
                    mailbox.give_back(Chunk(context_id=self.context_id, audio=wav.written()[:dropped_bytes]))
                raise
        nothing = deque[Event]()
        self._channel.has_given_audio = True
        mailbox.collected = nothing
        return wav.seconds

    def _check_nothing_was_given(self) -> None:
        self._link.check_process()
        if self._channel.has_given_audio:
            raise ContextStateError(
                f"context {self.context_id!r} cannot be handed over whole: some of it was received already"
            )

    def _check_whole(self, *, audio_bytes: int, last: Optional[Event]) -> None:
        """Raise what keeps so much audio from being the whole."""
        channel = self._channel
        if not (isinstance(last, Done) or channel.had_no_words):
            raise ContextStateError(f"context {self.context_id!r} is not whole: it is {channel.state.value}")
        if channel.unspoken is not None:
            raise channel.unfinished()
        if audio_bytes != channel.mailbox.audio_bytes:
            raise ContextStateError(
                f"context {self.context_id!r} cannot be handed over whole: {channel.mailbox.audio_bytes} bytes of "
                f"audio came, and {audio_bytes} of them are left (an interrupt has cost the rest)"
            )

    def _raw_format(self) -> RawFormat:
        if self._channel.audio_format is None:
            raise ContextStateError(
                f"context {self.context_id!r} has no samples: nothing was pushed, or its encoding is unknown"
            )
        return self._channel.audio_format


def _first_given(call: Optional[T], context: Optional[T], default: T) -> T:
    """Return the call's value, else the context's; an empty one counts: it is the service's to refuse."""
    if call is not None:
        return call
    return default if context is None else context
