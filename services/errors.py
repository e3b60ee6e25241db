"""The one small tree of errors that users see. Each is a sentence; each knows its exit code."""


class PushlogError(Exception):
    """Something a user can act on. `str()` is the sentence; `exit_code` is what a command ends with.

    Every subclass takes the sentence as its only argument, so that it crosses RPC unchanged.
    """

    exit_code = 1


class BadInput(PushlogError, ValueError):
    """A value from outside that is refused: `<field>: <what is wrong>; <what is allowed>`."""


class NoSuchApp(PushlogError):
    """The app does not exist, or the asker may not know that it does. The argument is the sentence."""

    exit_code = 20

    @classmethod
    def named(cls, name: str) -> "NoSuchApp":
        """The error for the app called `name`, in Dokku's words."""
        return cls(f"App {name} does not exist")


class Refused(PushlogError):
    """A well-formed request that the present state does not allow (a name or domain that is taken, …)."""


class WouldRecord(PushlogError):
    """Nothing is wrong: it was asked what would be recorded, and this is it, as a JSON array of events."""

    exit_code = 0


class Conflict(PushlogError):
    """An append expected a stream at a version that it no longer has; the sentence names the current one."""

    def __init__(self, sentence: str, stream: str = "") -> None:
        super().__init__(sentence)
        self.stream = stream


class LeaseLost(PushlogError):
    """The work was taken over by another holder; nothing of the late result is recorded."""


class Unavailable(PushlogError):
    """A part that Pushlog needs (Docker, nginx, the broker, the database) did not answer in time."""


class NotOpenable(PushlogError):
    """A sealed value does not open: another key, another app or name, or a damaged text."""


class BrokenLog(PushlogError):
    """The log is damaged, newer than this Pushlog, or on unsafe settings; Pushlog does not start on it."""
