"""What a terminal is told of how far a backup is."""

import pytest

from gitreceiver.backup import progress
from services.errors import BadInput
from tests.unit.fake_context import FakeContext

ARCHIVE = [b"x" * 1024, b"y" * 512, b""]


def test_a_terminal_is_told_how_much_of_an_archive_was_read_in_a_line_that_goes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    context, parts = FakeContext(tty=True), list(ARCHIVE)
    with progress.told(context, lambda _: parts.pop(0)) as read:
        assert [read(99), read(99), read(99)] == ARCHIVE
    lines = ["1 KiB read", "1.5 KiB read", "1.5 KiB read, checking it"]
    assert context.err.decode() == "".join(f"\r       {line}\x1b[K\r" for line in lines) + "\r\x1b[K\r"


@pytest.mark.parametrize("context", [FakeContext(), FakeContext(tty=True, quiet=True)])
def test_nobody_else_is_told(context: FakeContext) -> None:
    parts = list(ARCHIVE)
    with progress.told(context, lambda _: parts.pop(0)) as read:
        assert [read(99), read(99), read(99)] == ARCHIVE
    assert context.err == b""


def test_what_is_wrong_with_an_archive_has_a_line_of_its_own() -> None:
    context = FakeContext(tty=True)

    def import_() -> None:
        with progress.told(context, lambda _: b"") as read:
            read(99)
            raise BadInput("it is cut off")

    with pytest.raises(BadInput):
        import_()
    assert context.err.endswith(b"\r\x1b[K\r")
