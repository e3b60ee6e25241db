"""A client that asks for an app all the time, and knows when each answer came."""

import threading
import time

from tests.e2e.harness import Instance, wait_for

PAUSE = 0.003


class Visitor:
    """Asks for `path` of the app `host` through nginx every PAUSE seconds, over fresh connections. A context manager.

    `asked` counts the requests, `failed` describes those without an answer or with another status than 200.
    """

    def __init__(self, instance: Instance, host: str, path: str = "/") -> None:
        self._instance, self._host, self._path = instance, host, path
        self._first: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._visit, daemon=True)
        self.asked = 0
        self.failed: list[str] = []

    def _visit(self) -> None:
        while not self._over.wait(PAUSE):
            self.asked += 1
            try:
                answer = self._instance.get(self._host, self._path)
            except OSError as error:
                self.failed.append(repr(error))
                continue
            if answer.status == 200:
                self._first.setdefault(answer.text.strip(), time.monotonic())
            else:
                self.failed.append(f"{answer.status} {answer.text[:80]!r}")

    def saw(self, text: str) -> float:
        """When `text` was answered first, by time.monotonic(); waits for it."""
        wait_for(lambda: text in self._first, f"an answer {text!r}")
        return self._first[text]

    def __enter__(self) -> "Visitor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
