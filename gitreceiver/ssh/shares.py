"""What one key may take of the sessions and connections that all keys share."""

from collections import Counter

from gitreceiver.ssh.limits import DoorLimits


def may_take(key: str, held: Counter[str], most: int) -> bool:
    """Whether `key` may have one more of `most`: never more than it leaves free, so that others always find some."""
    return held[key] < most - held.total()


def refusal(key: str, held: Counter[str], on_connection: int, limits: DoorLimits) -> str:
    """Why no further session may begin, as a sentence; empty when it may. `held` counts sessions by key."""
    if on_connection >= limits.sessions_per_connection:
        return f"This connection has {on_connection} sessions open; wait for one to end, or open another connection."
    if held.total() >= limits.sessions:
        return f"{held.total()} sessions are open, which is all there are; try again in a moment."
    if not may_take(key, held, limits.sessions):
        return f"This key has {held[key]} sessions open, which is its share; wait for one to end."
    return ""
