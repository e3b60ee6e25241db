"""The Procfile: which processes an app has, and the command of each."""

from builder.errors import BuildRefused
from services.names import PROCESS_PATTERN, matches, shown

EXAMPLE = "web: gunicorn app:app"


def parse(data: bytes) -> dict[str, str]:
    """The commands of a Procfile by process type, in the file's order.

    A line is `type: command`, blank, or a comment that begins with `#`; the type is 1 to 63 letters, digits, `_` and
    `-`. Raises BuildRefused, naming the line, for any other line, an empty command, a type that stands there twice
    or twice but for its case, and for a file without a process: one bad line refuses the whole file.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BuildRefused(f"Procfile:{_line(data, error.start)}: this is not UTF-8; allowed is UTF-8 text") from None
    processes: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip(" \t\r")
        if not line or line.startswith("#"):
            continue
        process, command = _process(number, line)
        before = lines.setdefault(process.lower(), number)
        if before != number:
            raise BuildRefused(
                f"Procfile:{number}: {process} stands in line {before} already; allowed is one line per process type, "
                "and case makes no difference"
            )
        processes[process] = command
    if not processes:
        raise BuildRefused(f"Procfile: no process stands in it; add a line such as `{EXAMPLE}`")
    return processes


def _process(number: int, line: str) -> tuple[str, str]:
    """The type and the command of one line that is neither blank nor a comment."""
    process, colon, command = line.partition(":")
    command = command.strip(" \t")
    if not colon or not matches(PROCESS_PATTERN, process):
        raise BuildRefused(
            f"Procfile:{number}: {shown(line)} is not a process; allowed is `type: command` such as `{EXAMPLE}`, "
            "the type being 1 to 63 letters, digits, '_' and '-'"
        )
    if not command:
        raise BuildRefused(f"Procfile:{number}: {process} has no command; allowed is a line such as `{EXAMPLE}`")
    if not command.replace("\t", " ").isprintable():
        raise BuildRefused(f"Procfile:{number}: {shown(command)} holds a control character; allowed is printable text")
    return process, command


def _line(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1
