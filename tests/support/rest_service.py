"""A service on a loopback socket that takes down what it is asked, and answers what a test says."""

from __future__ import annotations

import json
import threading
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Part(NamedTuple):
    """A file of a form."""

    name: str
    content: bytes
    content_type: str


class Asked(NamedTuple):
    """A request.

    Attributes:
        line: The method and the path with its query, as they came.
        headers: Lower-case names.
        sent: The decoded JSON, the form's fields by name (a list where a name came more than once), or None.
    """

    line: str
    headers: dict[str, str]
    sent: Any


class Answer(NamedTuple):
    content: bytes
    content_type: str = "application/json"
    status: int = 200


class Service:
    """Answers in the order of ``will_answer``; each once, the last one for ever."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers = [Answer(b"{}")]
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one segment

            def do(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                sent = _read(headers.get("content-type", ""), content)
                service.asked.append(Asked(f"{self.command} {self.path}", headers, sent))
                answer = service._answers.pop(0) if len(service._answers) > 1 else service._answers[0]
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815  # the names that http.server calls

            def log_message(self, *args: object) -> None:
                """Keep standard error clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False  # closing waits for them
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def will_answer(self, *answers: Any) -> None:
        """Set what comes next: an ``Answer``, or what is its JSON; and forget what was asked."""
        self.asked = []
        self._answers = [each if isinstance(each, Answer) else Answer(json.dumps(each).encode()) for each in answers]

    @property
    def last(self) -> Asked:
        return self.asked[-1]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


REFUSED = Answer(
    json.dumps(
        {"error_code": "not_found", "title": "Not found", "message": "No such thing.", "request_id": "r"}
    ).encode(),
    status=404,
)


def events(*each: dict[str, Any]) -> Answer:
    """Frame events as the service does: an error has a name of its own there."""
    named = (("event: error\n" if event.get("type") == "error" else "", json.dumps(event)) for event in each)
    return Answer("".join(f"{name}data: {text}\n\n" for name, text in named).encode(), "text/event-stream")


def _read(content_type: str, content: bytes) -> Any:
    if content_type == "application/json":
        return json.loads(content)
    if not content_type.startswith("multipart/form-data"):
        assert not content
        return None
    form = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + content)
    found: dict[str, Any] = {}
    for part in form.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        value: Any = part.get_payload(decode=True)
        file_name = part.get_filename()
        value = value.decode() if file_name is None else Part(file_name, value, part.get_content_type())
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found
