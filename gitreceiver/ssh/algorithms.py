"""Which algorithms the SSH door speaks, which keys it takes, and what else it does not do.

No finite-field key exchange: one of 4096 bits takes ten times the time of one on a curve, and costs a client nothing.
"""

from typing import Any

import asyncssh
from asyncssh.kex import get_kex_algs

from gitreceiver.ssh.limits import DoorLimits

KEX = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
# Without chacha20 and CBC a Terrapin prefix truncation has nothing to work on, strict key exchange or not.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
SIGNATURES = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-256",
    "rsa-sha2-512",
)
RSA_BITS = 2048


def options(limits: DoorLimits) -> dict[str, Any]:
    """The server options of `asyncssh.listen`: public keys only, modern algorithms, nothing but exec."""
    known = {name.decode() for name in get_kex_algs()}
    return {
        "kex_algs": [name for name in KEX if name in known],
        "encryption_algs": list(CIPHERS),
        "mac_algs": list(MACS),
        "compression_algs": None,
        "signature_algs": list(SIGNATURES),
        "public_key_auth": True,
        "password_auth": False,
        "kbdint_auth": False,
        "host_based_auth": False,
        "gss_host": None,
        "x509_trusted_certs": None,
        "agent_forwarding": False,
        "x11_forwarding": False,
        "line_editor": False,
        "allow_scp": False,
        "encoding": None,
        "login_timeout": limits.login_seconds,
        "keepalive_interval": limits.keepalive_seconds,
        "config": None,
        "server_version": "Pushlog",
    }


def openssh(key: asyncssh.SSHKey) -> str:
    """The public key as `<algorithm> <base64>`."""
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


def weakness(key: asyncssh.SSHKey) -> str:
    """Why this kind of key is refused, or an empty text."""
    algorithm = key.get_algorithm()
    if algorithm == "ssh-rsa":
        bits = getattr(key.pyca_key, "key_size", 0)
        return f"is RSA with {bits} bits, under {RSA_BITS}" if bits < RSA_BITS else ""
    return "" if algorithm in SIGNATURES else f"is {algorithm}, which is refused"


def signature_algorithm(signature: bytes) -> str:
    """The algorithm that an SSH signature blob names."""
    length = int.from_bytes(signature[:4], "big")
    return signature[4 : 4 + length].decode("ascii", "replace")
