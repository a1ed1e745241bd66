"""Sound to text: what the server's own voice has spoken is known again, word for word and time for time."""
