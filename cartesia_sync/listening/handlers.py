"""Functions that are called for events: ``on``, ``off``, ``once``, as the official client has them."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional, TypeVar, Union

Handler = Callable[..., Any]
_S = TypeVar("_S", bound="Handlers")


class _Registered(NamedTuple):
    event_type: str
    handler: Handler
    is_once: bool


class Handlers:
    """What is called for which type of event; ``event`` stands for every type.

    Each registration is one of its own: a function that is registered twice is called twice, and ``once`` concerns the
    registration and not the function.

    Threads: any. Each change is one call of C code on a list; takes no lock.
    """

    def __init__(self) -> None:
        self._registered: list[_Registered] = []

    def on(self: _S, event_type: str, handler: Optional[Handler] = None) -> Union[_S, Callable[[Handler], Handler]]:
        """Have a function called for each event of a type; without a function this is a decorator.

        Args:
            event_type: The event's ``type``, or ``event`` for all.
            handler: Called with the event.
        """
        return self._add(event_type, handler, is_once=False)

    def once(self: _S, event_type: str, handler: Optional[Handler] = None) -> Union[_S, Callable[[Handler], Handler]]:
        """Have a function called for the next event of a type; otherwise as ``on``."""
        return self._add(event_type, handler, is_once=True)

    def _add(
        self: _S, event_type: str, handler: Optional[Handler], *, is_once: bool
    ) -> Union[_S, Callable[[Handler], Handler]]:
        if handler is not None:
            self._registered.append(_Registered(event_type, handler, is_once))
            return self

        def decorate(decorated: Handler) -> Handler:
            self._registered.append(_Registered(event_type, decorated, is_once))
            return decorated

        return decorate

    def off(self: _S, event_type: str, handler: Handler) -> _S:
        """Call a function for a type no more: of several registrations the first one ends. None is no error."""
        for each in list(self._registered):
            if each.event_type == event_type and each.handler == handler:
                self._forget(each)
                break
        return self

    def _forget(self, registered: _Registered) -> bool:
        try:
            self._registered.remove(registered)
        except ValueError:
            return False  # another thread was faster
        return True

    def _take_over(self, other: Handlers) -> None:
        self._registered.extend(other._registered)

    def _has_handler(self, event_type: str) -> bool:
        return any(each.event_type in (event_type, "event") for each in list(self._registered))

    def _call(self, event: Any) -> None:
        """Call what is registered for an event's type, and then what is for all, in the order of registration."""
        for wanted in (event.type, "event"):
            for each in list(self._registered):
                if each.event_type == wanted and (not each.is_once or self._forget(each)):
                    each.handler(event)
