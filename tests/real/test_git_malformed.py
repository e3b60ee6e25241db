"""What is not git's protocol, over real ssh: one plain sentence, exit code 1, and the next one is served."""

import random
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.real.doors import Doors
from tests.real.test_git_protocol import MAIN, ZERO, good, made

CAPABILITIES = b"\0 report-status side-band-64k"
WANTED = b" multi_ack_detailed side-band-64k thin-pack ofs-delta"
SENTENCE = re.compile(rb" !     [\x20-\x7e]{10,300}\n")
NEW = made.id


def line(data: bytes) -> bytes:
    return b"%04x" % (len(data) + 4) + data


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    """A door with an app that has one branch, and a connection to it that all sessions share."""
    doors = Doors()
    assert doors.raw_push("app", [(ZERO, NEW.decode(), MAIN)], good).report[-1] == b"ok refs/heads/main"
    with doors.shared_connection():
        yield doors
    doors.close()


def told(doors: Doors, verb: str, said: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(doors.ssh_argv(verb, "app"), input=said, capture_output=True, timeout=30)


def command(
    old: bytes = NEW, new: bytes = ZERO.encode(), ref: bytes = b"refs/heads/x", more: bytes = CAPABILITIES
) -> bytes:
    return line(old + b" " + new + b" " + ref + more)


PUSHES = {
    "no length": b"zzzz",
    "a length with a sign": b"-001",
    "a length of spaces": b"   5x",
    "a length below four": b"0003",
    "an empty line": b"0004",
    "a line that is cut off": b"00ffshort",
    "a delimiter of protocol 2": b"0001",
    "a line longer than allowed": b"fff0" + b"x" * 65516,
    "no command": line(b"not a command at all"),
    "two words": line(ZERO.encode() + b" refs/heads/x" + CAPABILITIES),
    "four words": command(ref=b"refs/heads/x y"),
    "an id of letters": command(old=b"g" * 40),
    "an id of SHA-256": command(old=b"1" * 64, new=b"2" * 64),
    "an id in capitals": command(old=b"A" * 40),
    "an id that is short": command(old=b"1" * 39),
    "a second NUL": command(more=CAPABILITIES + b"\0more"),
    "NULs only": line(b"\0" * 50),
    "capabilities of a later command": command() + command(ref=b"refs/heads/y") + b"0000",
    "an unknown capability": command(more=b"\0 report-status atomic"),
    "a capability that is no text": command(more=b"\0 \xff\xfe=\x1b[2J"),
    "a signed push": line(b"push-cert\0 report-status") + b"0000",
    "a request of upload-pack": line(b"want " + NEW + WANTED + b"\n") + b"0000",
    "the end after a command": command(),
    "the end in a length": command() + b"00",
    "the end in a line": command() + b"0078" + ZERO.encode(),
}
FETCHES = {
    "no length": b"zzzz",
    "a length with a sign": b"-001",
    "a length below four": b"0003",
    "a line that is cut off": b"00ffshort",
    "a line longer than allowed": b"fff0" + b"x" * 65516,
    "no want": line(b"not a want"),
    "a have first": line(b"have " + NEW + b"\n"),
    "an id of letters": line(b"want " + b"g" * 40 + WANTED + b"\n") + b"0000",
    "an id that is short": line(b"want 1111" + WANTED + b"\n") + b"0000",
    "a commit that no ref reaches": line(b"want " + b"1" * 40 + WANTED + b"\n") + b"0000" + line(b"done\n"),
    "a depth of letters": line(b"want " + NEW + WANTED + b" shallow\n") + line(b"deepen x") + b"0000",
    "a depth below zero": line(b"want " + NEW + WANTED + b" shallow\n") + line(b"deepen -1") + b"0000",
    "no have but text": line(b"want " + NEW + WANTED + b"\n") + b"0000" + line(b"\x1b[2J\n"),
    "a command of a push": command(),
    "the end after a want": line(b"want " + NEW + WANTED + b"\n"),
    "the end in a line": line(b"want " + NEW + WANTED + b"\n") + b"00",
    "the end among the haves": line(b"want " + NEW + WANTED + b"\n") + b"0000" + line(b"have " + b"1" * 40 + b"\n"),
}
CASES = [(verb, *case) for verb, cases in (("receive", PUSHES), ("upload", FETCHES)) for case in cases.items()]


@pytest.mark.parametrize(("verb", "name", "said"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_not_the_protocol_is_one_sentence(doors: Doors, verb: str, name: str, said: bytes) -> None:
    done = told(doors, f"git-{verb}-pack", said)
    assert SENTENCE.fullmatch(done.stderr), done.stderr
    assert b"Something went wrong" not in done.stderr
    assert done.returncode == 1


def mutations(said: bytes, seed: int, count: int) -> Iterator[bytes]:
    """The conversation cut off, with bytes changed, left out and doubled."""
    chance = random.Random(seed)
    for _ in range(count):
        at = chance.randrange(len(said))
        changed = bytes([chance.choice((0, 10, 32, 48, 102, 255, said[at] ^ 1 << chance.randrange(8)))])
        end = min(len(said), at + chance.randrange(1, 60))
        yield chance.choice(
            (said[:at], said[:at] + changed + said[at + 1 :], said[:at] + said[end:], said[:end] + said[at:])
        )


REAL = {
    "receive": command(ZERO.encode(), NEW, b"refs/heads/other")
    + command(ref=b"refs/tags/v1", more=b"")
    + b"0000"
    + good,
    "upload": line(b"want " + NEW + WANTED + b"\n")
    + b"0000"
    + b"".join(line(b"have %040x\n" % n) for n in range(5))
    + line(b"done\n"),
}


@pytest.mark.parametrize("verb", REAL)
def test_no_mutation_of_a_conversation_is_a_fault_of_ours(doors: Doors, verb: str) -> None:
    for said in mutations(REAL[verb], seed=8, count=40):
        done = told(doors, f"git-{verb}-pack", said)
        assert done.returncode in (0, 1), (said, done.stderr)
        assert not done.stderr or SENTENCE.fullmatch(done.stderr), (said, done.stderr)
        assert b"Something went wrong" not in done.stderr, said
    assert "Traceback" not in doors.log()
    assert doors.ssh("whoami").returncode == 0


LOT = 110_000


def test_more_haves_than_a_fetch_may_send_are_refused_in_a_sentence(doors: Doors) -> None:
    haves = b"".join(line(b"have %040x\n" % n) for n in range(LOT))
    done = told(doors, "git-upload-pack", line(b"want " + NEW + WANTED + b"\n") + b"0000" + haves + line(b"done\n"))
    assert done.returncode == 1
    assert (
        done.stderr == b" !     git: more than 4 MiB of wants and haves; fetch fewer branches at once, or clone anew\n"
    )


def test_more_of_a_shallow_boundary_than_a_push_may_send_is_refused_in_a_sentence(doors: Doors) -> None:
    done = told(doors, "git-receive-pack", b"".join(line(b"shallow %040x" % n) for n in range(LOT)) + b"0000")
    assert done.returncode == 1
    sentence = b"A push may name at most 4 MiB of branches, tags and shallow commits; push fewer at once."
    assert done.stderr == b" !     " + sentence + b"\n"
