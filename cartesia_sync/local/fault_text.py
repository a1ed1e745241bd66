"""Faults as people write them: ``Close(1011, after=3)``; nothing in it is executed."""

from __future__ import annotations

import ast
import inspect
import threading
from typing import Any, get_type_hints

import msgspec

from . import faults
from .faults import Fault

__all__ = ["FAULT_NAMES", "fault_of"]

FAULT_NAMES = sorted(
    name
    for name in faults.__all__
    if name not in ("Fault", "ContextFault", "RequestFault")  # the bases of the others
)


def fault_of(text: str) -> Fault:
    """Return the fault that a text describes.

    Raises:
        ValueError: It describes none; the message says what was expected.
    """
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: thousands of brackets
        call = ast.Constant(None)
    name = call.func if isinstance(call, ast.Call) else call
    kind = getattr(faults, name.id) if isinstance(name, ast.Name) and name.id in FAULT_NAMES else None
    if kind is None:
        raise ValueError(f"expected a fault such as Close(1011, after=3), of {', '.join(FAULT_NAMES)}; got {text}")
    try:
        positional = [_literal(each) for each in call.args] if isinstance(call, ast.Call) else []
        named = {str(each.arg): _literal(each.value) for each in getattr(call, "keywords", ())}
        signature = inspect.signature(kind)
        if "until" in signature.parameters:
            named["until"] = threading.Event()  # for ever: nobody is here who could set it
        fields = signature.bind(*positional, **named).arguments
        types = get_type_hints(kind)
        for field, value in fields.items():  # the class itself does not look
            if field == "body":
                if not isinstance(value, (str, bytes, dict, type(None))):
                    raise TypeError(f"body: expected a text, bytes, a dict or None, got {value!r}")
            elif field != "until":
                msgspec.convert(value, types[field])
        made: Fault = kind(**fields)
        return made
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text}: {error}") from error


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError("a fault's arguments are numbers, texts, None, True, False, and dicts of them") from None
