"""The help texts, made from the table."""

import inspect
from collections.abc import Iterable

import click

from cli.table import AT, COMMANDS, DRY_RUN, Command, find, nouns
from services.errors import BadInput
from services.names import shown

USAGE = "Usage: pushlog [--app X] [--quiet] [--force] [--trace] COMMAND [ARGUMENTS]"
FOOT = """\
Each takes --help; those that list or report take --format json.
On the machine itself there are also: pushlog up, down, status, install-service."""


def of(topic: str | None, *, everything: bool) -> str:
    """The help on a noun or a command; without one the overview, or the whole manual."""
    if topic is not None:
        return "\n".join(_entry(command) for command in _about(topic.removesuffix(":help")))
    if everything:
        return "\n".join([USAGE, "", *(_entry(command) for command in _sorted(COMMANDS.values())), FOOT])
    short = {usage(command, flags=False): summary(command) for command in _sorted(COMMANDS.values())}
    width = max(map(len, short))
    lines = [f"  {use:<{width}}  {what}" for use, what in short.items()]
    return "\n".join([USAGE, "", *lines, "", "See also: help COMMAND, help --all", FOOT])


def usage(command: Command, *, flags: bool = True) -> str:
    """One line: the command's name, its flags unless they are not wanted, its arguments."""
    words = [_word(param) for param in _shown(command) if flags or isinstance(param, click.Argument)]
    return " ".join([command.name, *words])


def summary(command: Command) -> str:
    """What the command does, in a line."""
    return (inspect.getdoc(command.function) or "").splitlines()[0]


def _about(topic: str) -> list[Command]:
    if topic in nouns():
        return _sorted(command for command in COMMANDS.values() if command.noun == topic)
    command = find(topic)
    if command is None:
        raise BadInput(f"help: there is no command {shown(topic)}; see: pushlog help")
    return [command]


def _sorted(commands: Iterable[Command]) -> list[Command]:
    return sorted(commands, key=lambda command: command.name)


def _shown(command: Command) -> list[click.Parameter]:
    params = [param for param in command.parser.params if not getattr(param, "hidden", False)]
    return sorted(params, key=lambda param: isinstance(param, click.Argument))


def _word(param: click.Parameter) -> str:
    if isinstance(param, click.Option):
        value = "" if param.is_flag else f" {_value(param)}"
        return f"[{'|'.join(param.opts)}{value}]"
    if isinstance(param, click.Argument) and param.metavar:
        return param.metavar
    word = f"<{param.name}>" + ("..." if param.nargs == -1 else "")
    return word if param.required else f"[{word}]"


def _value(param: click.Option) -> str:
    if isinstance(param.type, click.Choice):
        return "|".join(map(str, param.type.choices))
    return param.metavar or ("N" if isinstance(param.type, click.IntRange) else "X")


def _entry(command: Command) -> str:
    lines = [usage(command), f"    {summary(command)}"]
    lines += [
        f"    {', '.join(param.opts)}: {param.help}"
        for param in _shown(command)
        if isinstance(param, click.Option) and param.help
    ]
    lines += [f"    --dry-run: {DRY_RUN}"] if command.records else []
    lines += [f"    --at TIME|POSITION: {AT}"] if command.at else []
    if command.aliases:
        lines.append(f"    Also: {', '.join(command.aliases)}")
    return "\n".join(lines) + "\n"
