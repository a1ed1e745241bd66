"""The service's resources, one noun a file."""
