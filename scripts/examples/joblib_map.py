"""Texts to WAV files by joblib: python joblib_map.py texts.txt out/.

Threads do: they wait for the service, and one connection carries them all. (Processes work too, where the pool stands
in a module that they import: it does not travel.)
"""

import sys
from pathlib import Path

from joblib import Parallel, delayed

from cartesia_sync import Cartesia


def main() -> None:
    texts = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    with Cartesia().tts.pool(voice="6ccbfb76-1fc6-48f7-b71d-91ac6298247b") as pool:

        def speak(number: int, text: str) -> float:
            return pool.say(text).save(f"{sys.argv[2]}/{number:05}.wav")

        lengths = Parallel(n_jobs=4, prefer="threads")(delayed(speak)(*each) for each in enumerate(texts))
    print(f"{sum(lengths):.1f} seconds of audio")


if __name__ == "__main__":
    main()
