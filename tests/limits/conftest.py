"""What holds for every test of limits."""

from __future__ import annotations

import pytest

from cartesia_sync.limits import worker


@pytest.fixture(autouse=True)
def _threads_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of a limit that has nothing to do ends after a moment: no test is to wait for that."""
    monkeypatch.setattr(worker, "IDLE", 0.1)
