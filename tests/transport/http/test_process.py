"""Calls over HTTP in a process that forks, or ends: scripts in processes of their own, whose stderr stays empty."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ...support.http_service import Service, answer, chunk

KEY = "sk_car_a-key-for-processes"
BOUND = 25.0

FORKING = """
import os, sys
from cartesia_sync import Cartesia
from cartesia_sync.errors import ForkedError
client = Cartesia(api_key=sys.argv[2], base_url=sys.argv[1], max_retries=0)
client.get("/parent-before")
said = client.tts.generate(model_id="m", output_format={}, transcript="t", voice="v")
pieces = said.iter_bytes()
assert next(pieces) == b"a"
client.get("/parent-beside")
child = os.fork()
if not child:
    assert client.get("/child") == {}
    try:
        next(pieces)
    except ForkedError:
        pass
    else:
        raise AssertionError
    said.close()
    with client.with_options(max_retries=1):
        pass
    assert client.is_closed()
    del said, pieces
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert not client.is_closed()
client.get("/parent-after")
assert b"".join(pieces) == b"b"
"""

LEAVING = """
import sys
from cartesia_sync import Cartesia
client = Cartesia(api_key=sys.argv[2], base_url=sys.argv[1])
client.get("/x")
said = client.tts.generate(model_id="m", output_format={}, transcript="t", voice="v")
events = client.tts.generate_sse(model_id="m", output_format={}, transcript="t", voice="v")
"""


def run(program: str, service: Service) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, service.url, KEY],
        capture_output=True,
        text=True,
        timeout=BOUND,
        env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_a_forked_child_has_connections_of_its_own_and_leaves_the_parents_alone() -> None:
    """Also a body that the parent is in the middle of."""
    with Service(answer(200, {}), answer(200, chunks=[b"a", b"b"]), answer(200, {})) as service:
        run(FORKING, service)
    asked = {each.target: each.connection for each in service.asked}
    assert list(asked) == ["/parent-before", "/tts/bytes", "/parent-beside", "/child", "/parent-after"]
    assert asked["/parent-before"] == asked["/tts/bytes"]
    assert asked["/parent-beside"] == asked["/parent-after"]
    assert len({asked["/tts/bytes"], asked["/parent-beside"], asked["/child"]}) == 3


def test_a_process_may_end_with_answers_that_nobody_read() -> None:
    begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"a")
    with Service(answer(200, {}), begun) as service:
        run(LEAVING, service)
