"""Pushlog's version. pyproject.toml says the same; a test holds the two together."""

VERSION = "0.1.0"
