"""Text to sound: speech, its times, its encodings and containers. Independent of HTTP."""
