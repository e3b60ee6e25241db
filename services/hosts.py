"""Hosts that an app may take. The log may hold others, which older versions took: they stay readable and removable."""

import re
from encodings.idna import nameprep

from services import names
from services.errors import BadInput

NUMBER = r"[0-9]+|0x[0-9a-f]*"
"""A last label that makes programs take a host for an address (WHATWG URL, "ends in a number")."""
DEVIATING = dict.fromkeys(map(ord, "ßς\u200c\u200d"))
"""What the present IDNA takes and the first one, which Python knows, replaces."""


def new(value: str) -> str:
    """A host that an app may take from now on: a host name that can be a domain's. Raises BadInput."""
    names.host(value)
    labels = value.split(".")
    if len(labels) < 2:
        raise BadInput(f"domain: {names.shown(value)} is a single label; use a whole name, such as www.example.com")
    if re.fullmatch(NUMBER, labels[-1]):
        raise BadInput(f"domain: {names.shown(value)} ends in a number, as an address does; use www.example.com")
    for label in labels:
        if label.startswith("xn--") and not _is_punycode(label):
            raise BadInput(f"domain: {names.shown(label)} is not punycode of a name; use one such as xn--bcher-kva")
    return value


def is_new(value: str) -> bool:
    """Whether an app may take the host `value`."""
    try:
        new(value)
    except BadInput:
        return False
    return True


def _is_punycode(label: str) -> bool:
    """Whether a label beginning with `xn--` stands for exactly one name in other letters (RFC 3490, RFC 5891)."""
    try:
        text = label[4:].encode().decode("punycode")
        again = text.encode("punycode").decode()
        plain = text.translate(DEVIATING)
        return not text.isascii() and again == label[4:] and nameprep(plain) == plain
    except (ValueError, OverflowError):
        return False
