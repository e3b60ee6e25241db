"""The one-shot service `setup`: makes the secrets that are not there yet, and prepares the database.

It runs as root, because each file is for one user alone; which services see it, the volumes decide.
"""

import base64
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from services import files

FOLDER = Path("/run/secrets")
USER = "pushlog"


def main(broker_port: str) -> None:
    """Make what is missing; should the broker's port have changed, its URL follows."""
    url, key = FOLDER / "bus" / "url", FOLDER / "master" / "key"
    password = (urlsplit(url.read_text()).password if url.exists() else None) or secrets.token_hex(32)
    place(url, f"amqp://{USER}:{password}@rabbitmq:{broker_port}/", USER)
    place(FOLDER / "broker" / "definitions.json", definitions(password), "rabbitmq")
    if not key.exists():
        place(key, secrets.token_hex(32), USER)
    prepare = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "pushlog", "prepare"]
    os.execvp(prepare[0], prepare)  # noqa: S606 there is no shell to start it with


def place(path: Path, text: str, owner: str) -> None:
    """Write a file that only `owner` can read."""
    files.replace(path, text.encode(), mode=0o400)
    shutil.chown(path, owner, owner)


def definitions(password: str) -> str:
    """What RabbitMQ is to have: one user, by the salted hash of its password (rabbitmq.com/passwords.html)."""
    salt = os.urandom(4)
    hashed = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    user = {"name": USER, "password_hash": hashed, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}
    rights = {"user": USER, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    return json.dumps({"users": [user], "vhosts": [{"name": "/"}], "permissions": [rights]})


if __name__ == "__main__":
    main(os.environ["BROKER_PORT"])
