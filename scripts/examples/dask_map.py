"""Texts to WAV files by Dask's workers: python dask_map.py texts.txt out/ [tcp://scheduler:8786]."""

import sys
from pathlib import Path

from distributed import Client, LocalCluster, Worker, WorkerPlugin, get_worker

from cartesia_sync import Cartesia


class Speech(WorkerPlugin):
    """One pool a worker: a pool does not travel, and is made where it is used. The worker has the key."""

    def setup(self, worker: Worker) -> None:
        worker.speech = Cartesia().tts.pool(voice="6ccbfb76-1fc6-48f7-b71d-91ac6298247b")

    def teardown(self, worker: Worker) -> None:
        worker.speech.close()


def speak(text: str, path: str) -> float:
    return get_worker().speech.say(text).save(path)


if __name__ == "__main__":
    texts = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    paths = [f"{sys.argv[2]}/{number:05}.wav" for number in range(len(texts))]
    with Client(sys.argv[3] if len(sys.argv) > 3 else LocalCluster(n_workers=2, dashboard_address=None)) as dask:
        dask.register_plugin(Speech())
        print(f"{sum(dask.gather(dask.map(speak, texts, paths))):.1f} seconds of audio")
