"""Bytes of a ``text/event-stream`` to the data of its events; no socket, no clock.

Own code, since no well-kept library reads server-sent events from requests with a bound on an event's size, and since
the end of a stream must be told from its breaking off. Source: the HTML standard, section 9.2.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import MessageTooBigError


class EventStreamReader:
    """Collects bytes into lines and lines into events; events' names and ids are not kept.

    The service marks its errors by ``event: error``, but their JSON says the same in ``type`` (protocol notes: dispatch
    on the JSON).
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._line = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._after_return = False
        self._is_first_line = True

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Iterate over the data of each event that is complete with these bytes.

        Raises:
            MessageTooBigError: An event is larger than the limit.
        """
        if not received:
            return
        if self._after_return and received.startswith(b"\n"):  # it belongs to a carriage return of before
            received = received[1:]
        self._after_return = received.endswith(b"\r")
        for part in received.splitlines(keepends=True):  # by LF, CR and CRLF alone, for bytes
            self._line += part.rstrip(b"\r\n")
            if len(self._line) + self._data_bytes > self._max_event_bytes:
                raise MessageTooBigError(
                    f"an event of more than {self._max_event_bytes} bytes", limit_bytes=self._max_event_bytes
                )
            if not part.endswith((b"\r", b"\n")):
                return
            line, self._line = bytes(self._line), bytearray()
            data = self._take_line(line)
            if data is not None:
                yield data

    def _take_line(self, line: bytes) -> bytes | None:
        if self._is_first_line:
            self._is_first_line = False
            line = line[3:] if line.startswith(b"\xef\xbb\xbf") else line
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value[1:] if value.startswith(b" ") else value)
                self._data_bytes += len(value) + 1
            return None
        data, self._data, self._data_bytes = self._data, [], 0
        return b"\n".join(data) if data else None
