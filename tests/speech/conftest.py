"""A device whose clock is the test's, and a wire whose far end is the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import pytest

from cartesia_sync.speech.player import Player

from ..streaming.conftest import make_stage, stage  # noqa: F401  # fixtures

BUFFER_FRAMES = 100


class StepDevice:
    """Takes audio when the test says that time has passed; its buffer is full after each step, as a real one's is."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.buffer_frames = BUFFER_FRAMES
        self.taken: list[float] = []
        self.is_open = True
        self.refuses: Any = None

    def start(self, fill: Callable[[int], bytes], lost: Callable[[], None]) -> None:
        self._fill, self.lost = fill, lost
        self.step(BUFFER_FRAMES)

    def step(self, frames: int) -> list[float]:
        """Let so many frames be played, and as many be taken; return these."""
        import numpy as np

        audio = self._fill(frames)
        assert len(audio) == 4 * frames
        taken = [round(float(each), 4) for each in np.frombuffer(audio, np.float32)]
        self.taken.extend(taken)
        return taken

    @property
    def sound(self) -> list[float]:
        """What was taken, but for silence."""
        return [each for each in self.taken if each]

    def close(self) -> None:
        self.is_open = False


class Sound:
    """A player on devices whose clocks are the test's."""

    def __init__(self, **settings: Any) -> None:
        self.devices: list[StepDevice] = []
        self.player = Player(self._open, **settings)
        self.refuse: Any = None

    def _open(self, sample_rate: int) -> StepDevice:
        if self.refuse is not None:
            raise self.refuse
        self.devices.append(StepDevice(sample_rate))
        return self.devices[-1]

    @property
    def device(self) -> StepDevice:
        return self.devices[-1]


@pytest.fixture
def sound() -> Iterator[Sound]:
    made = Sound()
    yield made
    made.player.close()
