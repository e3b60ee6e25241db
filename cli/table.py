"""The command table: how a command is declared, what it may ask of the one who runs it, and the registry.

A command is a declaration that returns a value. click says what its words are; it names the service that
owns it (each command is an RPC to that one) and the permission it needs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import click

from cli.values import Record, Value, Wanted
from services.errors import BadInput
from services.eventlog import EventLog
from services.moments import Moment

Needs = Literal["nothing", "read", "write", "admin"]


class Context(Protocol):
    """One run of one command: who asks, over what, and what the platform does for them.

    `run` sets `quiet`, `format` ("text" or "json"), `force`, `dry_run` and `at` (the position of the log whose state is
    asked for) from the command line before the command sees them. `format` is "" where none was asked for.
    Reading, writing, `pause` and what `follow` and `events` yield raise a PushlogError once the client is gone.
    """

    actor: str
    origin: str
    user: str
    tty: bool
    columns: int
    domain: str
    http_port: int
    quiet: bool
    format: str
    force: bool
    at: int | None
    dry_run: bool

    @property
    def log(self) -> EventLog:
        """The log, to be read."""

    def permits(self, needs: str, app: str | None) -> bool:
        """Whether the actor holds the permission, for the app if one is named."""

    def call(self, service: str, method: str, **kwargs: Any) -> Any:
        """An RPC with a deadline, about the state at `at` if that is set.

        With `dry_run` one that records raises WouldRecord instead. Raises the errors of services/errors.py; Unavailable
        when none answered.
        """

    def read_stdin(self, limit: int) -> bytes:
        """The whole input. Raises BadInput when it is longer than `limit` bytes."""

    def read_line(self, limit: int) -> bytes:
        """The input through the first newline, the end of the input, or `limit` bytes."""

    def write(self, data: bytes, *, exact: bool = False) -> None:
        """To stdout. What is not `exact` is made harmless, unless it is known that no terminal shows it."""

    def write_err(self, data: bytes) -> None:
        """To stderr, where talk and errors go, made harmless."""

    def redraw(self, text: str) -> None:
        """To stderr, in place of the line before."""

    def pause(self, seconds: float) -> None:
        """Wait."""

    def seal(self, app: str, key: str, value: str) -> str:
        """The value of an app's config key, sealed: secrets cross the bus in no other way."""

    def open(self, app: str, key: str, sealed: str) -> str:
        """What `seal` sealed."""

    def rekey(self, limit: int) -> Record:
        """Rotate the master key; `given` tells whether the operator keeps it, then the new one is read from stdin.

        It has at most `limit` bytes, and crosses no bus.
        """

    def follow(self, correlation: str) -> Iterator[bytes | int]:
        """The live output of what a command set in motion, and last the exit code."""

    def events(self, wanted: Wanted) -> Iterator[Sequence[Record]]:
        """The log's wanted events as CloudEvents mappings, in batches.

        Raises NoSuchApp for an app that never was, BadInput for a position beyond the log.
        """

    def export_backup(self, *, images: bool) -> None:
        """A backup to stdout, with the images that serve if they are wanted."""

    def verify_backup(self) -> Record:
        """What the backup on stdin holds."""

    def import_backup(self, moment: Moment | None, *, dry_run: bool) -> Record:
        """Become the instance that the backup on stdin is of, as it was at a moment; returns what came."""


Function = Callable[..., Value]

DRY_RUN = "Only show what it would record first; nothing is recorded."
AT = "The answer as it was then."


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table.

    `owner` is the service that it asks; `records` says that it appends to the log. `secrets` names the parameter whose
    `KEY=VALUE` words are masked where a command line is kept, `destroys` the one that must be typed again. A `report`
    takes `[<app>] [--flag]` and is called with both. `at` says that its answer is a fold of the log, so that it can be
    had as of any moment.
    """

    name: str
    owner: str
    needs: Needs
    records: bool
    json: bool
    report: bool
    secrets: str | None
    destroys: str | None
    reads_stdin: bool
    at: bool
    aliases: tuple[str, ...]
    function: Function
    parser: click.Command

    @property
    def noun(self) -> str:
        """The part before the colon."""
        return self.name.partition(":")[0]

    @property
    def confidential(self) -> bool:
        """Whether its line may hold secrets, be it by mistake: where a key is asked for some give the pair."""
        return self.secrets is not None or self.noun == "config"

    @property
    def takes_app(self) -> bool:
        """Whether `--app X` before the command can stand for its first word."""
        first = next((p.name for p in self.parser.params if isinstance(p, click.Argument)), None)
        return self.report or first == "app"


COMMANDS: dict[str, Command] = {}
ALIASES: dict[str, str] = {}
"""An old or short name → the command's name."""


class HelpWanted(Exception):
    """`--help` stands among a command's words."""


def command(
    name: str,
    *,
    owner: str,
    needs: Needs,
    records: bool = False,
    json: bool = False,
    report: bool = False,
    secrets: str | None = None,
    destroys: str | None = None,
    reads_stdin: bool = False,
    at: bool = False,
    aliases: tuple[str, ...] = (),
) -> Callable[[Function], Function]:
    """Enter a function into the table; its click decorators stand below this one. `owner` "" is the door itself."""

    def enter(function: Function) -> Function:
        settings = {"ignore_unknown_options": report, "allow_extra_args": True}
        parser = click.command(name, add_help_option=False, context_settings=settings)(function)
        if report:
            parser.params.append(
                click.Argument(["words"], nargs=-1, type=click.UNPROCESSED, metavar="[<app>] [<flag>]")
            )
        parser.params += _common(name, json=json or report, destroys=destroys, records=records, at=at)
        reads = reads_stdin or destroys is not None
        row = Command(
            name=name,
            owner=owner,
            needs=needs,
            records=records,
            json=json or report,
            report=report,
            secrets=secrets,
            destroys=destroys,
            reads_stdin=reads,
            at=at,
            aliases=aliases,
            function=function,
            parser=parser,
        )
        taken = {name, *aliases} & (COMMANDS.keys() | ALIASES.keys())
        if taken:
            raise ValueError(f"{sorted(taken)} stands in the command table already")
        COMMANDS[name] = row
        ALIASES.update(dict.fromkeys(aliases, name))
        return function

    return enter


def find(name: str) -> Command | None:
    """The command of that name or alias."""
    return COMMANDS.get(ALIASES.get(name, name))


def nouns() -> list[str]:
    """Every noun that has a command, sorted."""
    return sorted({command.noun for command in COMMANDS.values()})


def _common(name: str, *, json: bool, destroys: str | None, records: bool, at: bool) -> list[click.Parameter]:
    """The flags that commands share. `dispatch` takes them off before the function is called."""

    def wants_help(_ctx: click.Context, _param: click.Parameter, given: bool) -> None:
        if given:
            raise HelpWanted

    def takes(allowed: bool, why: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
        def check(_ctx: click.Context, param: click.Parameter, given: Any) -> Any:
            if given and not allowed:
                raise BadInput(f"{name}: {param.opts[0]} is for commands {why}; run it without")
            return given

        return check

    dry, past = takes(records, "that record something"), takes(at, "whose answer is folded from the log")
    shared: list[click.Parameter] = [
        click.Option(
            ["--help", "-h"], is_flag=True, is_eager=True, expose_value=False, hidden=True, callback=wants_help
        ),
        click.Option(["--dry-run", "dry_run"], is_flag=True, hidden=True, callback=dry),
        click.Option(["--at", "at"], metavar="TIME|POSITION", hidden=True, callback=past),
        click.Option(["-q", "--quiet", "quiet"], is_flag=True, hidden=True, help="The bare result, without headers."),
    ]
    if json:
        shared.append(click.Option(["--format", "format"], type=click.Choice(["text", "json"])))
    if destroys:
        shared.append(click.Option(["--force", "force"], is_flag=True, help="Do not ask."))
    return shared
