"""Text to sound: speech, its times, its encodings and containers. Knows nothing of HTTP."""
