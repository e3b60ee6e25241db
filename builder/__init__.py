"""Buildstep: a pushed tree becomes an image."""
