"""The SSH door: its connections, channels and keys of its own."""
