"""Public SSH keys as text: one line, `<algorithm> <base64> [comment]`, read and checked before anything keeps it.

The line's format is OpenSSH's (sshd(8), AUTHORIZED_KEYS FILE FORMAT), the blob's RFC 4253, RFC 5656 and RFC 8709.
"""

import base64 as b64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from services.errors import BadInput
from services.names import shown

SIZE_LIMIT = 16 * 1024
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 16384
CURVES: dict[str, type[ec.EllipticCurve]] = {
    "nistp256": ec.SECP256R1,
    "nistp384": ec.SECP384R1,
    "nistp521": ec.SECP521R1,
}
ED25519, RSA = "ssh-ed25519", "ssh-rsa"
SK_ED25519, SK_ECDSA = "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"
ALGORITHMS = (ED25519, *(f"ecdsa-sha2-{curve}" for curve in CURVES), RSA, SK_ED25519, SK_ECDSA)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A checked public key. `fingerprint` is `SHA256:` and 43 characters, as ssh-keygen -l shows it."""

    algorithm: str
    base64: str
    fingerprint: str
    comment: str


def parse_public_key(text: str) -> PublicKey:
    """The one public key that `text` holds. Raises BadInput, which says what else it is."""
    line = _one_line(text)
    algorithm, _, rest = line.partition(" ")
    _check_algorithm(algorithm, line)
    encoded, _, comment = rest.strip(" ").partition(" ")
    try:
        blob = b64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise _bad("its second word is not Base64") from None
    _check_blob(algorithm, blob)
    digest = b64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return PublicKey(algorithm, b64.b64encode(blob).decode(), f"SHA256:{digest}", comment.strip(" "))


def _bad(wrong: str) -> BadInput:
    return BadInput(f"key: {wrong}; allowed is one public key on one line, as in ~/.ssh/id_ed25519.pub")


def _one_line(text: str) -> str:
    if len(text.encode(errors="surrogatepass")) > SIZE_LIMIT:
        raise _bad(f"longer than {SIZE_LIMIT} bytes")
    if "PRIVATE KEY" in text or text.startswith("PuTTY-User-Key-File"):
        raise _bad("this is a private key, which nobody else should ever see")
    if "BEGIN SSH2 PUBLIC KEY" in text or "BEGIN PUBLIC KEY" in text:
        raise _bad("this is another format; convert it with: ssh-keygen -i -f FILE")
    lines = [line for line in text.replace("\r\n", "\n").replace("\t", " ").split("\n") if line.strip(" ")]
    if not lines:
        raise _bad("there is none")
    if len(lines) > 1:
        keys = sum(line.split()[:1] != [] and line.split()[0] in ALGORITHMS for line in lines)
        raise _bad(f"there are {keys} keys" if keys > 1 else f"there are {len(lines)} lines")
    line = lines[0].strip(" ")
    if not line.isprintable():
        raise _bad("it has control characters")
    return line


def _check_algorithm(algorithm: str, line: str) -> None:
    if algorithm in ALGORITHMS:
        return
    if algorithm == "ssh-dss":
        raise _bad("DSA keys are too weak")
    if algorithm.startswith(("ssh-", "ecdsa-", "sk-")) and "=" not in algorithm:
        raise _bad(f"the algorithm {shown(algorithm)} is not accepted; accepted are {', '.join(ALGORITHMS)}")
    if any(word in ALGORITHMS for word in line.replace('"', " ").split(" ")):
        raise _bad("options before a key are not accepted")
    raise _bad("it does not begin with an algorithm")


def _check_blob(algorithm: str, blob: bytes) -> None:
    fields = _fields(blob)
    if not fields or fields[0] != algorithm.encode():
        raise _bad(f"the key inside is not of the algorithm {algorithm}")
    expected = {ED25519: 2, SK_ED25519: 3, SK_ECDSA: 4}.get(algorithm, 3)
    if len(fields) != expected:
        raise _bad(f"it is damaged: {len(fields)} fields where {algorithm} has {expected}")
    if algorithm in (ED25519, SK_ED25519):
        if len(fields[1]) != 32:
            raise _bad("it is damaged: an Ed25519 key is 32 bytes long")
    elif algorithm == RSA:
        _check_rsa(*fields[1:])
    else:
        _check_point(algorithm.removeprefix("sk-").removeprefix("ecdsa-sha2-").partition("@")[0], *fields[1:3])


def _fields(blob: bytes) -> list[bytes]:
    """The strings of a blob: four bytes length, that many bytes, again and again."""
    fields = []
    while blob:
        length = int.from_bytes(blob[:4])
        if len(blob) < 4 + length or len(blob) < 4:
            raise _bad("it is damaged: it ends too early")
        fields.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return fields


def _check_rsa(exponent: bytes, modulus: bytes) -> None:
    e, n = int.from_bytes(exponent, signed=True), int.from_bytes(modulus, signed=True)
    if n.bit_length() < MIN_RSA_BITS or n <= 0:
        raise _bad(f"an RSA key of {n.bit_length()} bits is too weak; accepted are {MIN_RSA_BITS} bits or more")
    if n.bit_length() > MAX_RSA_BITS:
        raise _bad(f"an RSA key of {n.bit_length()} bits is too long; accepted are at most {MAX_RSA_BITS}")
    if e < 3 or e % 2 == 0 or n % 2 == 0 or e.bit_length() > 64:
        raise _bad("it is damaged: no RSA key has these numbers")


def _check_point(curve: str, named: bytes, point: bytes) -> None:
    if named != curve.encode():
        raise _bad(f"the curve inside is {shown(named.decode(errors='replace'))}, not {curve}")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(CURVES[curve](), point)
    except ValueError:
        raise _bad(f"it is damaged: its point is not on the curve {curve}") from None
