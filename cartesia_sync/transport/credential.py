"""A key or a token, as a header may hold it; and a user's function that is asked for one before each attempt."""

from __future__ import annotations

from typing import Callable, TypeVar

_T = TypeVar("_T")


class RaisedOutside(BaseException):
    """Carries what a user's function raised past the handlers that retry after, or end a context by, errors of ours.

    It may be one of ours too: the function may use another client. See ``untouched``.

    Attributes:
        error: What was raised.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def untouched(call: Callable[[], _T]) -> _T:
    """Return what a call of ours returns; raise as it was what a user's function raised inside of it."""
    try:
        return call()
    except RaisedOutside as carrier:
        error = carrier.error
    try:
        raise error  # outside of the handler, so that it gets no context
    finally:
        del error  # or it would refer to itself, by its traceback and this frame


def checked_credential(value: object, name: str) -> str:
    """Return a key or a token without the white space around it, as one gets it by reading a file.

    Args:
        value: The key or token; no message shows it.
        name: Where it came from, for the message.

    Raises:
        TypeError: It is no text.
        ValueError: It holds what no header may.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a text, got a value of type {type(value).__name__}")
    stripped = value.strip()
    if stripped.isascii() and stripped.isprintable():
        return stripped
    if any(char in "\r\n" for char in stripped):
        what = "a line break"
    elif stripped.isascii():
        what = "a control character"
    else:
        what = "a character that is not ASCII"  # RFC 9110, section 5.5: no sender should rely on more
    raise ValueError(f"{name} holds {what}, which no header with a credential may")


def authorization(credential: str) -> dict[str, str]:
    """Return the header that carries a key or a token."""
    return {"Authorization": f"Bearer {credential}"}


def ask_for(token: Callable[[], str]) -> dict[str, str]:
    """Ask a user's function for a token, and return the header that carries it.

    Threads: the caller's, in which the function runs. Waits for it, without a limit.

    Raises:
        RaisedOutside: The function raised, or gave what is no token.
    """
    try:
        given = checked_credential(token(), "what the function given as token returned")
        if not given:
            raise ValueError("the function given as token returned an empty text")
    except Exception as error:  # a user's code raises what it likes
        raise RaisedOutside(error) from None
    return authorization(given)
