from __future__ import annotations

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.closing import Closing
from cartesia_sync.resources.binary import BinaryAPIResponse
from cartesia_sync.resources.events import Stream
from cartesia_sync.streaming.compat_v2 import TtsWebsocket
from cartesia_sync.streaming.connection import Connection
from cartesia_sync.streaming.pump import Speech


class Door(Closing):
    is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_a_with_block_closes_at_its_end_whatever_was_raised() -> None:
    with Door() as door:
        assert type(door) is Door
        assert not door.is_closed
    assert door.is_closed
    door = Door()
    with pytest.raises(KeyError), door:
        raise KeyError
    assert door.is_closed


@pytest.mark.parametrize("kind", [Cartesia, BinaryAPIResponse, Stream, TtsWebsocket, Connection, Speech])
def test_what_is_closed_in_a_with_block_has_a_close_of_its_own(kind: type[Closing]) -> None:
    assert issubclass(kind, Closing)
    assert kind.close is not Closing.close
    assert kind.__exit__ is Closing.__exit__
