"""The end of a process of the platform. What ends one of its parts ends the process: the next start has all of them."""

import faulthandler
import logging
from collections.abc import Callable
from typing import Any, Protocol

import eventlet
from eventlet.hubs import get_hub
from eventlet.support.greenlets import GreenletExit
from nameko.containers import ServiceContainer
from nameko.runners import ServiceRunner

log = logging.getLogger("pushlog")

DEADLINE = 10.0
"""Seconds in which a process ends whose part has failed, whatever it still waits for."""


class Stop(BaseException):
    """Ends the process, from wherever it is."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Lasting(Protocol):
    """Runs a part that must last as long as the process."""

    def __call__(self, what: str, run: Callable[..., object], *args: object) -> object:
        """Run `run(*args)` in a green thread; `what` names it in the log, should it end."""


class Ending:
    """Ends the process whose main green thread made this."""

    def __init__(self) -> None:
        self._main = eventlet.getcurrent()
        self._told = False

    def stop(self, code: int) -> None:
        """End what the main green thread does with Stop; a second call does nothing."""
        if not self._told:
            self._told = True
            if code:
                hurry()
            get_hub().schedule_call_global(0, self._main.throw, Stop(code))

    def failed(self, what: str, error: BaseException | None) -> None:
        """A part of the process ended: end the process with exit code 1, and say so."""
        if not self._told:
            log.critical("%s ended, and so does this process", what, exc_info=error)
        self.stop(1)

    def lasting(self, what: str, run: Callable[..., object], *args: object) -> object:
        """See Lasting."""
        thread = eventlet.spawn(run, *args)
        thread.link(self._over, what)
        return thread

    def _over(self, thread: Any, what: str) -> None:
        self.failed(what, ending_of(thread))

    def runner(self, config: dict[str, Any]) -> ServiceRunner:
        """A runner of services, each of which ends the process when one of its threads fails."""
        ending = self

        class Container(ServiceContainer):  # type: ignore[misc] # nameko has no types
            """nameko's own kills its peers first, and waits for all that they do, which may be for ever."""

            def _handle_thread_exited(self, thread: Any) -> None:
                error = ending_of(thread)
                if error is not None and not isinstance(error, GreenletExit):
                    ending.failed(f"the service {self.service_name}", error)

        runner = ServiceRunner(config)
        runner.container_cls = Container
        return runner


def ending_of(thread: Any) -> BaseException | None:
    """What a green thread that is over raised, if it did."""
    try:
        thread.wait()
    except BaseException as error:  # its own, whatever it is
        return error
    return None


def hurry() -> None:
    """Have the process end with exit code 1 within DEADLINE seconds; what it waits for then is written to stderr."""
    faulthandler.dump_traceback_later(DEADLINE, exit=True)
