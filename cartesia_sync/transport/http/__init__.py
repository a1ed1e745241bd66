"""HTTP: sessions, requests, responses; requests and urllib3 are met here alone."""
