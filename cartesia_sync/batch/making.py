"""One text made into the content of its files, here or in a worker; and the kinds of files that there are."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, cast

from ..audio import encoders
from ..audio.kinds import CAPTIONS, Kind
from ..protocol.formats import RawFormat
from ..speech.captions import load_pysubs2

if TYPE_CHECKING:
    from ..pool.pool import Pool
    from ..pool.spoken import Spoken

PCM = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}
PCM_FOR_OPUS = {**PCM, "sample_rate": 48000}
"""Opus takes no 44.1 kHz."""


@dataclass(frozen=True)
class Job:
    """One text on its way; it can be pickled.

    Attributes:
        number: Its row in the plan.
        text: What to say.
        options: How, for ``pool.say``.
        kinds: Of the files: the sound's, and then the captions'.
        attempt: How many there were before this one.
        parts: The shared folder in which a worker leaves the files; None: their bytes travel.
    """

    number: int
    text: str
    options: Mapping[str, Any]
    kinds: tuple[str, ...]
    attempt: int = 0
    parts: Optional[str] = None


class Content(NamedTuple):
    """What is to be in a file: its bytes, or where they are."""

    size: int
    digest: str
    data: Optional[bytes] = None
    part: Optional[str] = None


@dataclass(frozen=True)
class Made:
    """What came of a job; it can be pickled.

    Attributes:
        contents: Of each of its files.
        seconds: Of audio.
        took: Seconds from its slot to its end.
        request_id: The service's, or None.
        refused: How often the service refused it before.
    """

    contents: tuple[Content, ...] = field(repr=False)
    seconds: float
    took: float
    request_id: Optional[str]
    refused: int


def check_kind(kind: str, output_format: Mapping[str, Any]) -> None:
    """Find what keeps a kind of file from being written, before anything is spoken.

    Raises:
        ImportError: An extra is not installed, and it is needed.
        ValueError: The kind is none, or does not take the format.
    """
    if kind in CAPTIONS.values():
        load_pysubs2()
    else:
        encoders.check(kind, RawFormat.of(output_format))


def format_for(kind: str) -> Mapping[str, Any]:
    """Return the format to ask for, for a kind of sound."""
    return PCM_FOR_OPUS if kind == "opus" else PCM


def made_of(spoken: Spoken, kinds: tuple[str, ...], took: float) -> Made:
    """Make the content of the files.

    Raises:
        ContextStateError: There are no words for captions, or the audio's encoding is none that we know.
        ValueError: The audio is too long for the kind.
    """
    contents = []
    for kind in kinds:
        data = _content(spoken, kind)
        contents.append(Content(len(data), hashlib.sha256(data).hexdigest(), data))
    metrics = spoken.metrics
    took = max(took - metrics.waited_for_slot, 0.0)
    return Made(tuple(contents), spoken.seconds, took, spoken.request_id, metrics.refused)


def _content(spoken: Spoken, kind: str) -> bytes:
    content = io.BytesIO()
    spoken.save(content, kind=cast("Kind", kind))
    return content.getvalue()


# ---- in a worker of an executor


_pools: dict[bytes, Pool] = {}  # by the client's pickle; each process has its own, which lives as long as it


def speak_there(client: bytes, job: Job) -> Made:
    """Speak a job in another process, by a client of its own, which is made once.

    Args:
        client: Its pickle.
        job: What to do.

    Raises:
        CartesiaError: As ``pool.say``.
        OSError: The shared folder cannot be written to.

    Threads: any. Waits for the service.
    """
    began = time.monotonic()
    made = made_of(_pool_of(client).say(job.text, **job.options), job.kinds, time.monotonic() - began)
    if job.parts is None:
        return made
    contents = []
    for number, content in enumerate(made.contents):
        assert content.data is not None
        part = os.path.join(job.parts, f"{job.number}-{job.attempt}-{number}-{os.getpid()}-{content.digest[:16]}.part")
        with open(part, "xb") as file:
            file.write(content.data)
        contents.append(content._replace(data=None, part=part))
    return Made(tuple(contents), made.seconds, made.took, made.request_id, made.refused)


def _pool_of(pickled: bytes) -> Pool:
    import pickle

    key = hashlib.sha256(pickled).digest()
    pool = _pools.get(key)
    # Of two threads that come first at once one keeps its pool; the other's has opened nothing.
    return _pools.setdefault(key, pickle.loads(pickled).tts.pool()) if pool is None else pool


def speak_here(pool: Pool, job: Job, end: Callable[[Job, Any], object]) -> None:
    """Speak a job by a thread of the pool, which calls ``end`` with it and what came of it, or the exception.

    Raises:
        CartesiaError: The pool is closed, or the system gives no thread.
    """
    began = time.monotonic()
    future = pool.submit(job.text, **job.options)

    def note(future: Any) -> None:
        try:
            outcome: Any = made_of(future.result(), job.kinds, time.monotonic() - began)
        except BaseException as error:  # whatever it is, is the owner's to see
            outcome = error
        end(job, outcome)

    future.add_done_callback(note)


def words_of(error: BaseException) -> str:
    """Say what an item failed with, in one line."""
    name = type(error).__name__
    words = " ".join(str(error).split())
    return f"{name}: {words}" if words else name
