"""What of a command line is for the local command itself: files on its side, a passphrase, whether input is sent."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

READS_STDIN = ("apps:destroy", "apps:delete", "delete", "ssh-keys:add", "log:rekey", "backup:import", "backup:verify")
"""The commands whose input is sent. Others leave it alone, so that they can stand in a loop that reads a file."""
READS_FILE = {"ssh-keys:add": 1, "backup:import": 0, "backup:verify": 0}
"""Take a file's path here, behind so many words; its content is sent as the input."""
WRITES_FILE = {"backup:export": 0}
"""Take a file's path here; the output goes there, once it is whole."""
NOUNS = ("backup", "log")
"""Of the commands that are known here, or work while nothing runs, the nouns that are no command themselves."""
READS_ARCHIVE = ("backup:import", "backup:verify")
PASSPHRASE = "--passphrase-file"  # noqa: S105
VALUED = (PASSPHRASE, "--until", "--format")
"""The flags of these commands that a value follows."""
ASKS = {"--help", "-h", "--version"}
"""The flags by which a line is a question about the command, whose answer belongs into no file."""
STREAM = "-"
"""In place of a file: stdin or stdout."""
PASSPHRASE_LIMIT = 4096


class Unfit(Exception):
    """A word that names a file which cannot be used here; the sentence says why."""


@dataclass
class Call:
    """A command line without what is for this side alone: where input comes from, where output goes, a passphrase."""

    argv: list[str]
    input: int | None = None
    output: int = 1
    file: Path | None = None
    passphrase: str | None = field(default=None, repr=False)

    def keep(self) -> None:
        """Give the file that was written its name, as it is whole. Raises Unfit."""
        try:
            if self.file:
                os.fsync(self.output)
                part(self.file).replace(self.file)
        except OSError as error:
            raise Unfit(f"path: {self.file} cannot be written ({error.strerror}); allowed is a file") from None

    def clean(self) -> None:
        """Remove what is left of a file that was not kept."""
        if self.file:
            part(self.file).unlink(missing_ok=True)


def taken(argv: list[str]) -> Call:
    """The call that a command line is, with its files opened. Raises Unfit."""
    argv = joined(argv)
    at = name_at(argv)
    name = argv[at] if at < len(argv) else ""
    if (name not in READS_FILE and name not in WRITES_FILE) or ASKS & set(argv):
        return Call(argv)
    phrase, argv = _passphrase(argv, at)
    values = {n + 1 for n in range(at + 1, len(argv)) if argv[n] in VALUED}
    words = [n for n in range(at + 1, len(argv)) if _is_word(argv[n]) and n not in values]
    behind = {**READS_FILE, **WRITES_FILE}[name]
    if len(words) > behind + 1:
        raise Unfit(f"{name}: a word too many; see: pushlog help {name}")
    call = Call(argv, passphrase=phrase)
    if len(words) == behind + 1:
        call.argv = argv[: words[-1]] + argv[words[-1] + 1 :]
        if argv[words[-1]] != STREAM:
            _open(call, name, argv[words[-1]])
    if name in READS_ARCHIVE and call.input is None and os.isatty(0):
        raise Unfit("backup: a terminal holds no archive; allowed are a FILE, a pipe and a redirection")
    return call


def joined(argv: list[str]) -> list[str]:
    """The line with its command's name in one word, as the platform reads it: `backup verify` is `backup:verify`."""
    at = name_at(argv)
    if argv[at : at + 1] and argv[at] in NOUNS and _is_word("".join(argv[at + 1 : at + 2]) or "--"):
        return [*argv[:at], ":".join(argv[at : at + 2]), *argv[at + 2 :]]
    return argv


def name_at(argv: list[str]) -> int:
    """Where the command's name stands: behind the global flags."""
    at = 0
    while at < len(argv) and argv[at].startswith("-"):
        at += 2 if argv[at] == "--app" else 1
    return at


def reads_stdin(argv: list[str]) -> bool:
    """Whether the command's input is sent."""
    return argv[name_at(argv) :][:1] != [] and argv[name_at(argv)] in READS_STDIN and "--force" not in argv


def part(path: Path) -> Path:
    """Where a file is written before it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _is_word(word: str) -> bool:
    return word == STREAM or not word.startswith("-")


def _open(call: Call, name: str, path: str) -> None:
    """Open the file at `path` as the call's input or output. Raises Unfit.

    A link stays and what it names is replaced; a device or a pipe is written as it is, for it has no other content to
    be kept, and to replace `/dev/stdout` would be the end of that.
    """
    try:
        if name in READS_FILE:
            call.input = os.open(path, os.O_RDONLY)
            if stat.S_ISDIR(os.fstat(call.input).st_mode):
                raise IsADirectoryError(0, "it is a folder")
            return
        mode = os.stat(path).st_mode if os.path.exists(path) else stat.S_IFREG
        if stat.S_ISDIR(mode) or not Path(path).name or path.endswith("/"):
            raise IsADirectoryError(0, "it is a folder" if path else "it has no name")
        if stat.S_ISREG(mode):
            call.file = Path(os.path.realpath(path))
        flags = os.O_WRONLY | (os.O_CREAT | os.O_TRUNC if call.file else 0)
        call.output = os.open(part(call.file) if call.file else path, flags, 0o600)
    except OSError as error:
        call.file = None
        does = "read" if name in READS_FILE else "written"
        raise Unfit(f"path: {path} cannot be {does} ({error.strerror}); allowed is a file") from None


def _passphrase(argv: list[str], at: int) -> tuple[str | None, list[str]]:
    """The first line of the file that `--passphrase-file` names, and the command line without that. Raises Unfit."""
    for n in range(at + 1, len(argv)):
        flag, equals, path = argv[n].partition("=")
        if flag != PASSPHRASE:
            continue
        path = path if equals else "".join(argv[n + 1 : n + 2])
        if not path:
            raise Unfit(f"{PASSPHRASE}: names no file; allowed is a text file")
        try:
            with open(path, encoding="utf-8") as file:
                words = file.read(PASSPHRASE_LIMIT + 1).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise Unfit(f"{PASSPHRASE}: {path} cannot be read ({why}); allowed is a text file") from None
        if not words or len(words) > PASSPHRASE_LIMIT or "\n" in words:
            raise Unfit(f"{PASSPHRASE}: {path} holds no passphrase; allowed is one line of up to {PASSPHRASE_LIMIT}")
        return words, argv[:n] + argv[n + (1 if equals else 2) :]
    return None, argv
