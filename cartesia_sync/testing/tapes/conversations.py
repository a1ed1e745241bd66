"""Which of the recorded conversations a program holds now, and what it is to hear next.

A conversation is a context of text-to-speech, or a connection of speech-to-text. It is known by all that was said in
it, text or audio, and by its options; where several are equal, the first in the program is the first on the tape.
"""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union

from .reel import Reel

__all__ = [
    "Conversation",
    "Heard",
    "Key",
    "Live",
    "Message",
    "Script",
    "context_id_of",
    "difference",
    "key_of",
    "message_of",
    "speaks",
]

_NOT_OPTIONS = frozenset({"cancel", "context_id", "continue", "flush", "transcript"})
_FINISH = "finish"
_CANCEL = "cancel"
_WIDTH = 100

Key = tuple[str, str, str]
Message = Union[dict[str, Any], str, bytes]


def message_of(data: Union[str, bytes]) -> Message:
    """Return what a frame says: a JSON object, else the text or the bytes as they are."""
    if isinstance(data, str):
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return data
        if isinstance(value, dict):
            return value
    return data


def context_id_of(message: Any) -> Optional[str]:
    """Return the context that a message names, if it does."""
    if isinstance(message, str):
        message = message_of(message)
    context_id = message.get("context_id") if isinstance(message, dict) else None
    return context_id if isinstance(context_id, str) else None


def key_of(path: str, query: Iterable[Iterable[str]], version: str) -> Key:
    """Return what the handshakes of one kind have in common."""
    return path, json.dumps([list(pair) for pair in query]), version


class Conversation:
    """What was said in one conversation.

    Attributes:
        said: The whole text or audio so far.
        marks: What else was told, in order, each with the length of ``said`` at that time. A cancel is no mark: when it
            comes is a matter of time.
        is_cancelled: Whether it was cancelled.
    """

    def __init__(self, key: Key, context_id: Optional[str]) -> None:
        self.key = key
        self.context_id = context_id
        self.said: Union[str, bytes] = b"" if context_id is None else ""
        self.options: Optional[dict[str, Any]] = None
        self.marks: list[tuple[int, str]] = []
        self.is_cancelled = False

    @property
    def is_finished(self) -> bool:
        """Whether no more is to be said."""
        return any(mark in (_FINISH, "close", "done") for _, mark in self.marks)

    def take(self, message: Message) -> None:
        """Take in one message."""
        if isinstance(message, bytes):
            assert isinstance(self.said, bytes)
            self.said += message
            return
        if isinstance(message, str) or self.context_id is None:
            text = message if isinstance(message, str) else json.dumps(message, sort_keys=True)
            self.marks.append((len(self.said), "close" if text == '{"type": "close"}' else text))
            return
        if message.get("cancel"):
            self.is_cancelled = True
            return
        options = {name: value for name, value in message.items() if name not in _NOT_OPTIONS}
        if self.options is None:
            self.options = options
        elif self.options != options:
            self.marks.append((len(self.said), f"options {json.dumps(options, sort_keys=True)}"))
        transcript = message.get("transcript")
        assert isinstance(self.said, str)
        self.said += transcript if isinstance(transcript, str) else ""
        if message.get("flush"):
            self.marks.append((len(self.said), "flush"))
        if not message.get("continue"):
            self.marks.append((len(self.said), _FINISH))

    def may_become(self, other: Conversation) -> bool:
        """Whether this one, if it goes on, can be the other."""
        if self.key != other.key or (self.options is not None and self.options != other.options):
            return False
        # Either both are texts or both are bytes: the kind follows from whether it is a context's.
        if (self.context_id is None) is not (other.context_id is None) or other.said[: len(self.said)] != self.said:
            return False
        if self.is_finished and len(self.said) != len(other.said):
            return False
        if self._comparable() != other._comparable()[: len(self.marks)]:
            return False
        # What came before this place there has come here.
        return all(place >= len(self.said) or self.context_id is None for place, _ in other.marks[len(self.marks) :])

    def is_like(self, other: Conversation) -> bool:
        """Whether nothing but ids and times tells one from the other."""
        return (self.key, self.options, self.said, self.marks) == (other.key, other.options, other.said, other.marks)

    def _comparable(self) -> list[tuple[int, str]]:
        # How a microphone's audio is cut is a matter of time.
        return [(0, mark) for _, mark in self.marks] if self.context_id is None else self.marks

    def described(self) -> list[str]:
        """Return it as lines that people compare."""
        path, query, version = self.key
        lines = [f"{path} {query}" if query != "[]" else path, f"version: {version}"]
        lines += [f"{name}: {json.dumps(value)}" for name, value in sorted((self.options or {}).items())]
        if isinstance(self.said, bytes):
            lines.append(f"audio: {len(self.said)} bytes")
            lines += [f"then: {mark}" for _, mark in self.marks]
            return lines
        start = 0
        for place, mark in [*self.marks, (len(self.said), "")]:
            lines += _text_lines(self.said[start:place])
            if mark:
                lines.append(f"then: {mark}")
            start = place
        return lines


class Heard:
    """One thing that the service said in a conversation, and what it had been told by then.

    Attributes:
        number: Its place on the tape.
        line: Its line; what is under ``got``, ``got_audio`` or ``closed`` counts.
        at: When, in seconds.
        after: What it had been told: length of ``said``, number of marks, whether it was cancelled.
    """

    def __init__(self, number: int, line: Mapping[str, Any], after: tuple[int, int, bool]) -> None:
        self.number = number
        self.line = line
        self.at: float = line["at"]
        self.after = after


class Script:
    """One recorded conversation.

    Attributes:
        said: What was said in it, to its end.
        heard: What the service said.
        told: When it was told what: (at, length, marks, cancelled), in order.
        socket: The number of its connection on the tape.
        is_used: Whether a program holds it already.
    """

    def __init__(self, key: Key, context_id: Optional[str], socket: int) -> None:
        self.said = Conversation(key, context_id)
        self.heard: list[Heard] = []
        self.told: list[tuple[float, tuple[int, int, bool]]] = []
        self.socket = socket
        self.is_used = False

    @property
    def state(self) -> tuple[int, int, bool]:
        """What it has been told so far."""
        return len(self.said.said), len(self.said.marks), self.said.is_cancelled

    @classmethod
    def all_of(cls, reel: Reel) -> list[Script]:
        """Return the conversations of a tape, in order."""
        scripts: list[Script] = []
        keys: dict[int, Key] = {}
        contexts: dict[tuple[int, Optional[str]], Script] = {}
        last: dict[int, Script] = {}

        def script(socket: int, context_id: Optional[str]) -> Script:
            place = (socket, context_id)
            if place not in contexts:
                contexts[place] = cls(keys[socket], context_id, socket)
                scripts.append(contexts[place])
            return contexts[place]

        for number, line in enumerate(reel.lines):
            socket = line.get("socket")
            if socket is None:
                continue
            if "open" in line:
                keys[socket] = key_of(line["open"], line["query"], line["version"])
                if not speaks(line["open"]) and "refused" not in line:
                    last[socket] = script(socket, None)
                    last[socket].told.append((line["at"], last[socket].state))
            elif "sent" in line or "sent_audio" in line:
                message = reel.get(line["sent_audio"]) if "sent_audio" in line else _as_message(line["sent"])
                spoken = script(socket, context_id_of(message) if speaks(keys[socket][0]) else None)
                spoken.said.take(message)
                spoken.told.append((line["at"], spoken.state))
                last[socket] = spoken
            else:
                if "closed" in line and line["closed"]["by"] == "program":
                    continue
                context_id = context_id_of(line.get("got"))
                spoken_to = contexts.get((socket, context_id)) or last.get(socket)
                if spoken_to is not None:
                    spoken_to.heard.append(Heard(number, line, spoken_to.state))
        return scripts


class Live:
    """A conversation that a program holds now.

    Attributes:
        said: What it has said so far.
        script: What it plays; None while that is not known.
        next: The number of the next thing in ``script.heard``.
        is_over: It hears nothing more from the tape.
        turn: How often it had to be waited for what it will become.
    """

    def __init__(self, key: Key, context_id: Optional[str]) -> None:
        self.said = Conversation(key, context_id)
        self.script: Optional[Script] = None
        self.next = 0
        self.is_over = False
        self.turn = 0
        self.told: list[tuple[float, tuple[int, int, bool]]] = []

    def take(self, message: Message, now: float) -> None:
        """Take in one message."""
        self.said.take(message)
        self.told.append((now, (len(self.said.said), len(self.said.marks), self.said.is_cancelled)))
        self._skip_what_a_cancel_stops()

    def play(self, script: Script) -> None:
        """Let it play this."""
        script.is_used = True
        self.script = script
        self._skip_what_a_cancel_stops()

    def _skip_what_a_cancel_stops(self) -> None:
        if self.said.is_cancelled and self.script is not None:
            heard = self.script.heard
            while self.next < len(heard) and not heard[self.next].after[2]:
                self.next += 1

    def due(self, pace: bool) -> Optional[tuple[Heard, float]]:
        """Return what it hears next, and when; None where it has to say more before that."""
        if self.script is None or self.is_over or self.next >= len(self.script.heard):
            return None
        heard = self.script.heard[self.next]
        live = _when(self.told, heard.after)
        if live is None:
            return None
        recorded = _when(self.script.told, heard.after)
        return heard, live + (heard.at - recorded if pace and recorded is not None else 0.0)


def speaks(path: str) -> bool:
    """Whether a WebSocket at this path carries contexts."""
    return path.startswith("/tts/")


def difference(sent: list[str], recorded: list[list[str]], free: list[list[str]]) -> str:
    """Return what is to be said of something that is not on the tape.

    Args:
        sent: What was sent, as lines.
        recorded: All of its kind that is on the tape.
        free: Those of them that were not asked for yet.
    """
    if not recorded:
        return "nothing of this kind is on the tape. Sent was:\n" + textwrap.indent("\n".join(sent), "+ ")
    times = recorded.count(sent)
    if times:
        return f"this stands on the tape {_times(times)}, and was sent once more:\n" + textwrap.indent(
            "\n".join(sent), "+ "
        )
    closest = max(free or recorded, key=lambda each: difflib.SequenceMatcher(None, each, sent, autojunk=False).ratio())
    lines = difflib.unified_diff(closest, sent, "on the tape", "sent now", lineterm="", n=100)
    return "the closest on the tape differs:\n" + "\n".join(line for line in lines if not line.startswith("@@"))


def _as_message(value: Union[dict[str, Any], str]) -> Message:
    return message_of(value) if isinstance(value, str) else value


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _when(told: list[tuple[float, tuple[int, int, bool]]], needed: tuple[int, int, bool]) -> Optional[float]:
    for at, (length, marks, cancelled) in told:
        if length >= needed[0] and marks >= needed[1] and cancelled >= needed[2]:
            return at
    return None


def _text_lines(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.split("\n"):
        lines += [f"  {line[start : start + _WIDTH]}" for start in range(0, len(line), _WIDTH)] or ["  "]
    return lines if text else []
