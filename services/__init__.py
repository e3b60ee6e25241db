"""What every service shares: the log, the bus, the blobs, the keyring, the settings."""
