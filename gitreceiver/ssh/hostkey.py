"""The door's own key: made at the first start and kept, so that clients see one host for ever."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from services import files


def host_key(folder: Path) -> Path:
    """The path of the Ed25519 host key in `folder` (OpenSSH format, 0600), made if it is not there.

    Its public half stands beside it as `….pub`, for people who want to compare.
    """
    path = folder / "host_ed25519"
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        files.replace(path.with_suffix(".pub"), public + b" pushlog\n", mode=0o644)
        files.replace(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    os.chmod(path, 0o600)
    return path
