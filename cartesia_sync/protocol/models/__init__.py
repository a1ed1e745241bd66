"""What the service sends and takes, as records: one family a file."""
