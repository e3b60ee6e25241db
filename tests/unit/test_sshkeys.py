"""Public keys as text: what is taken, and what each refusal says."""

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.errors import BadInput
from services.sshkeys import SIZE_LIMIT, parse_public_key


def blob(*fields: bytes) -> str:
    return base64.b64encode(b"".join(len(field).to_bytes(4) + field for field in fields)).decode()


def number(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1)


def rsa(bits: int, exponent: int = 65537) -> str:
    return f"ssh-rsa {blob(b'ssh-rsa', number(exponent), number(2 ** (bits - 1) + 1))}"


def ecdsa(name: str, inner: str, curve: ec.EllipticCurve) -> str:
    public = ec.derive_private_key(7, curve).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return f"ecdsa-sha2-{name} {blob(f'ecdsa-sha2-{name}'.encode(), inner.encode(), point)}"


ED25519 = f"ssh-ed25519 {blob(b'ssh-ed25519', bytes(range(32)))}"
NISTP256 = ecdsa("nistp256", "nistp256", ec.SECP256R1())
SK = "sk-ssh-ed25519@openssh.com"


@pytest.mark.parametrize(
    "line",
    [
        ED25519,
        NISTP256,
        ecdsa("nistp384", "nistp384", ec.SECP384R1()),
        ecdsa("nistp521", "nistp521", ec.SECP521R1()),
        rsa(2048),
        rsa(4096),
        f"{SK} {blob(SK.encode(), bytes(32), b'ssh:')}",
    ],
)
def test_todays_algorithms_are_taken(line: str) -> None:
    key = parse_public_key(f"\n {line}  me@host, my laptop \r\n\n")
    assert f"{key.algorithm} {key.base64}" == line
    assert key.comment == "me@host, my laptop"
    assert key.fingerprint.startswith("SHA256:")
    assert len(key.fingerprint) == 50
    assert parse_public_key(line).comment == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is none"),
        (" \n\n", "there is none"),
        ("hello", "does not begin with an algorithm"),
        (f'command="id",no-pty {ED25519}', "options before a key"),
        (f"no-pty {ED25519}", "options before a key"),
        (f'environment="A=ssh-ed25519" {ED25519}', "options before a key"),
        (f"{ED25519}\n{NISTP256}\n", "there are 2 keys"),
        (f"{ED25519} me\nevil: line", "there are 2 lines"),
        (f"{ED25519} me\x1b[2J", "control characters"),
        (f"{ED25519} me\rx", "control characters"),
        (f"{ED25519} \u202eme", "control characters"),
        (f"{ED25519} \0", "control characters"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA\n-----END OPENSSH PRIVATE KEY-----", "a private key"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "a private key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", "a private key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA", "another format"),
        ("x" * (SIZE_LIMIT + 1), "longer than 16384 bytes"),
        ("ü" * (SIZE_LIMIT // 2 + 1), "longer than 16384 bytes"),
        (f"ssh-dss {blob(b'ssh-dss', b'p', b'q', b'g', b'y')}", "DSA"),
        (rsa(1024), "1024 bits is too weak"),
        (rsa(2047), "2047 bits is too weak"),
        (rsa(16385), "16385 bits is too long"),
        (rsa(2048, exponent=1), "no RSA key has these numbers"),
        (rsa(2048, exponent=4), "no RSA key has these numbers"),
        (f"ssh-rsa {blob(b'ssh-rsa', number(3), bytes([0x80]) + bytes(255))}", "too weak"),
        (f"ecdsa-sha2-secp256k1 {blob(b'ecdsa-sha2-secp256k1', b'secp256k1', b'')}", "is not accepted"),
        (ecdsa("nistp256", "nistp384", ec.SECP384R1()), 'the curve inside is "nistp384", not nistp256'),
        (ecdsa("nistp256", "nistp256", ec.SECP384R1()), "not on the curve nistp256"),
        (f"ecdsa-sha2-nistp256 {blob(b'ecdsa-sha2-nistp256', b'nistp256', b'')}", "not on the curve"),
        (
            f"ecdsa-sha2-nistp256 {blob(b'ecdsa-sha2-nistp256', b'nistp256', bytes([4]) + bytes(63) + bytes([9]))}",
            "not on the curve",
        ),
        (f"ssh-ed25519-cert-v01@openssh.com {blob(b'x')}", "is not accepted"),
        (ED25519.replace("ssh-ed25519 ", "ssh-rsa "), "not of the algorithm ssh-rsa"),
        (f"ssh-ed25519 {blob(b'ssh-ed25519', bytes(31))}", "32 bytes long"),
        (f"ssh-ed25519 {blob(b'ssh-ed25519', bytes(32), b'more')}", "3 fields where ssh-ed25519 has 2"),
        (f"ssh-ed25519 {blob(b'ssh-ed25519')}", "1 fields where"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1", "ends too early"),
        ("ssh-ed25519 AAAA", "ends too early"),
        ("ssh-ed25519", "not of the algorithm"),
        ("ssh-ed25519 A*B=", "not Base64"),
        ("ssh-ed25519 é", "not Base64"),
    ],
)
def test_what_is_no_acceptable_key_is_refused_saying_which(text: str, why: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_public_key(text)
    sentence = str(refusal.value)
    assert sentence.startswith("key: ")
    assert why in sentence
    assert sentence.isprintable()
    assert len(sentence) < 400


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_the_fingerprint_is_the_one_that_ssh_keygen_shows(tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    file.write_text(ED25519)
    shown = subprocess.run(["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True).stdout
    assert parse_public_key(ED25519).fingerprint == shown.split()[1]
