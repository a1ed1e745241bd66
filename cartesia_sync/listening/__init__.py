"""Sessions that listen: audio goes out on one connection, and what was said comes back."""
