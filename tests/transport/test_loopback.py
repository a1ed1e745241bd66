from __future__ import annotations

import pytest

from cartesia_sync.transport.loopback import is_this_machine


@pytest.mark.parametrize("host", ["localhost", "api.localhost", "127.0.0.1", "127.8.9.10", "::1"])
def test_this_machine_is_known_by_its_names_and_addresses(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ["", "example.com", "10.0.0.1", "2001:db8::1", "127.0.0.1.example.com", "alocalhost"])
def test_no_other_is(host: str) -> None:
    assert not is_this_machine(host)
