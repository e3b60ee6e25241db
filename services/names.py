"""The typed values of every edge: app names, domains, config keys, process types, refs, image digests.

A name is refused, never cleaned, so that two inputs never become one thing. Each function takes the text
from outside and returns it unchanged, or raises BadInput in the shape `<field>: <what is wrong>; <what is
allowed>`. The `…Field` types put the same rules on the fields of events, which are checked again when read.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from services.errors import BadInput
from services.terminal import shown as shown

APP_PATTERN = r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"
PROCESS_PATTERN = r"^[A-Za-z0-9_-]{1,63}$"
CONFIG_KEY_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
HOST_PATTERN = r"^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
COMMIT_PATTERN = r"^[0-9a-f]{40}$"
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
REF_PATTERN = r"^refs/(heads|tags)/[^\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]{1,255}$"
KEY_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$"
FINGERPRINT_PATTERN = r"^SHA256:[A-Za-z0-9+/]{43}$"
UUID_PATTERN = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
ADDRESS_PATTERN = r"^[0-9a-f.:]{2,45}$"
UPSTREAM_PATTERN = r"^[0-9a-f.:\[\]]{2,47}:[1-9][0-9]{0,4}$"

RESERVED_KEYS = frozenset({"PORT", "DYNO"})
MAX_SCALE = 100


def matches(pattern: str, value: str) -> bool:
    """Whether the whole of `value` fits `pattern` (`$` alone would let a trailing newline pass)."""
    return re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value) is not None


def app_name(value: str) -> str:
    """An app's name: 1 to 63 of a-z, 0-9, `.`, `-`, not at the ends, without `..` and without git's ending `.git`."""
    if not matches(APP_PATTERN, value) or ".." in value or value.endswith(".git"):
        raise BadInput(
            f"app: {shown(value)} is not an app name; allowed are 1 to 63 of a-z, 0-9, '.' and '-', "
            "beginning and ending with a letter or digit, without '..' and not ending in '.git'"
        )
    return value


def host(value: str) -> str:
    """A host name in lower case, at most 253 characters, optionally with one leading `*.` label."""
    if len(value) > 253 or not matches(HOST_PATTERN, value) or (value.startswith("*.") and value.count(".") < 2):
        raise BadInput(
            f"domain: {shown(value)} is not a host name; allowed are labels of a-z, 0-9 and '-' joined by '.', "
            "optionally beginning with '*.'"
        )
    if re.fullmatch(r"[0-9.]+", value):
        raise BadInput(f"domain: {shown(value)} is an address; allowed are host names")
    return value


def config_key(value: str) -> str:
    """A config key: a shell identifier of at most 128 characters that is not one of the platform's own."""
    if not matches(CONFIG_KEY_PATTERN, value):
        raise BadInput(
            f"config: {shown(value)} is not a key; allowed are letters, digits and '_', not beginning with a digit, "
            "at most 128"
        )
    if value in RESERVED_KEYS or value.startswith("PUSHLOG_"):
        raise BadInput(f"config: {value} is set by the platform; PORT, DYNO and PUSHLOG_* cannot be set")
    return value


def process_type(value: str) -> str:
    """A process type of a Procfile or formation: 1 to 63 letters, digits, `_` and `-`."""
    if not matches(PROCESS_PATTERN, value):
        raise BadInput(
            f"process: {shown(value)} is not a process type; allowed are 1 to 63 letters, digits, '_' and '-'"
        )
    return value


def scale(value: str) -> int:
    """How many containers of a process type: a whole number from 0 to MAX_SCALE."""
    if not re.fullmatch(r"[0-9]{1,6}", value) or int(value) > MAX_SCALE:
        raise BadInput(f"scale: {shown(value)} is not a scale; allowed are 0 to {MAX_SCALE}")
    return int(value)


def key_name(value: str) -> str:
    """The name that an SSH key is stored under."""
    if not matches(KEY_NAME_PATTERN, value):
        raise BadInput(
            f"name: {shown(value)} is not a key's name; allowed are 1 to 64 letters, digits and '._@+-', "
            "beginning with a letter or digit"
        )
    return value


def ref_name(value: str) -> str:
    """A branch or tag by git's own rules for ref names (git-check-ref-format), in refs/heads/ or refs/tags/."""
    parts = value.split("/")
    bad = (
        not matches(REF_PATTERN, value)
        or ".." in value
        or "@{" in value
        or any(not p or p.startswith((".", "-")) or p.endswith((".lock", ".")) for p in parts)
    )
    if bad:
        raise BadInput(f"ref: {shown(value)} is not a branch or tag name; allowed are refs/heads/… and refs/tags/…")
    return value


def _rule(check: Callable[[str], str]) -> AfterValidator:
    """The rule for a field of events: a log repeats the same few names, so each is looked at once."""
    return AfterValidator(lru_cache(maxsize=4096)(check))


AppNameField = Annotated[str, _rule(app_name)]
ProcessField = Annotated[str, _rule(process_type)]
HostField = Annotated[str, _rule(host)]
RefField = Annotated[str, _rule(ref_name)]
KeyNameField = Annotated[str, _rule(key_name)]
# by the pattern alone: a key that the platform takes for itself one day stays readable in old events
ConfigKeyField = Annotated[str, StringConstraints(pattern=CONFIG_KEY_PATTERN)]
CommitField = Annotated[str, StringConstraints(pattern=COMMIT_PATTERN)]
DigestField = Annotated[str, StringConstraints(pattern=DIGEST_PATTERN)]
FingerprintField = Annotated[str, StringConstraints(pattern=FINGERPRINT_PATTERN)]
UuidField = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]
AddressField = Annotated[str, StringConstraints(pattern=ADDRESS_PATTERN)]
UpstreamField = Annotated[str, StringConstraints(pattern=UPSTREAM_PATTERN)]
ScaleField = Annotated[int, Field(ge=0, le=MAX_SCALE)]
