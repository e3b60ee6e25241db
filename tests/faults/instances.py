"""Instances for the tests of faults."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from tests.e2e.harness import Instance

SomeInstance = TypeVar("SomeInstance", bound=Instance)


@contextmanager
def started(instance: SomeInstance) -> Iterator[SomeInstance]:
    """The instance, running; nothing of it stays."""
    for folder in (instance.home.parent, *instance.home.parent.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o011)  # nginx's workers pass through
    try:
        instance.start()
        yield instance
    finally:
        instance.purge()
