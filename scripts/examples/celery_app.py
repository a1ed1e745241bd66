"""Speech from Celery workers.

CELERY_BROKER_URL=redis:// CELERY_RESULT_BACKEND=redis:// celery --app celery_app worker     (or --pool threads)
"""

from celery import Celery

from cartesia_sync import Cartesia, RateLimitError

client = Cartesia()  # the key is in CARTESIA_API_KEY
pool = client.tts.pool(
    voice="6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
    output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000},
)  # opens nothing; each worker process has connections of its own from its first task on
app = Celery("speech")


@app.task(autoretry_for=(RateLimitError,), retry_backoff=True, max_retries=5)
def speak(text: str, path: str) -> float:
    """Write a text's speech to a WAV file; return its length in seconds."""
    return pool.say(text).save(path)
