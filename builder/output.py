"""What a build says, line by line, as Heroku's looks: steps behind an arrow, details indented."""

from collections.abc import Callable

LONGEST_LINE = 8 * 1024


class Output:
    """Writes a build's lines, each with its line feed, to `write`: at most `limit` bytes of what programs print."""

    def __init__(self, write: Callable[[bytes], None], limit: int) -> None:
        self._write = write
        self._left = limit
        self._limit = limit
        self._rest = b""

    def step(self, text: str) -> None:
        """A new step of the build."""
        self._write(f"-----> {text}\n".encode())

    def detail(self, text: str) -> None:
        """A line of our own below the step."""
        self._write(f"       {text}\n".encode())

    def program(self, chunk: bytes) -> None:
        """A piece of a program's output, cut anywhere. What is beyond the limit is dropped, after one sentence."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        while len(self._rest) >= LONGEST_LINE:
            lines.append(self._rest[:LONGEST_LINE])
            self._rest = self._rest[LONGEST_LINE:]
        for line in lines:
            self._program_line(line)

    def end_program(self) -> None:
        """The program is gone: its last line needs no line feed."""
        if self._rest:
            self._program_line(self._rest)
        self._rest = b""

    def _program_line(self, line: bytes) -> None:
        line = b"       " + line.rstrip(b"\r").rpartition(b"\r")[2] + b"\n"  # of a progress bar, its last state
        if self._left < 0:
            return
        self._left -= len(line)
        if self._left >= 0:
            self._write(line)
        else:
            self.detail(f"The output went beyond {self._limit} bytes; the build goes on, the rest is not kept.")
