"""Containers: start, check, hand over, drain, stop."""
