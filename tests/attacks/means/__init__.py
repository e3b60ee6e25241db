"""The attacks themselves, as context managers: each goes on for the length of its block, from a place of its own."""
