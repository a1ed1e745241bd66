"""What was measured of each context, to OpenTelemetry: opentelemetry-instrument python telemetry.py."""

from opentelemetry import metrics

from cartesia_sync import Cartesia, SpokenContext

meter = metrics.get_meter("cartesia_sync")
first_audio = meter.create_histogram("tts.first_audio", unit="s", description="From the first text to the first audio")
waited = meter.create_histogram("tts.waited_for_slot", unit="s", description="For the account's limit")
audio = meter.create_counter("tts.audio", unit="s", description="Speech received")
characters = meter.create_counter("tts.characters", description="Text sent")


def on_spoken(spoken: SpokenContext) -> None:
    attributes = {"outcome": spoken.outcome}
    if spoken.metrics.first_audio is not None:
        first_audio.record(spoken.metrics.first_audio, attributes)
    waited.record(spoken.metrics.waited_for_slot, attributes)
    audio.add(spoken.metrics.audio_seconds, attributes)
    characters.add(spoken.metrics.characters, attributes)


if __name__ == "__main__":
    client = Cartesia(on_spoken=on_spoken)
    with client.tts.pool(voice="6ccbfb76-1fc6-48f7-b71d-91ac6298247b") as pool:
        print(f"{pool.say('Hello.').seconds:.2f} s")
