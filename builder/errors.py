"""What the builder tells a pusher when the push itself is at fault."""

from services.errors import PushlogError


class BuildRefused(PushlogError):
    """No image comes of this tree, and building it again unchanged would not change that. The argument says why."""
