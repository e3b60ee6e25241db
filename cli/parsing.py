"""A command line's words become a command and its parameters, or one sentence; and the line with secrets masked."""

import difflib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from cli.table import ALIASES, COMMANDS, Command, HelpWanted, find, nouns
from services.errors import BadInput
from services.names import app_name, matches, shown
from services.terminal import visible

MASK = "***"
PAIR_PATTERN = r"[A-Za-z_][A-Za-z0-9_]{0,127}="
NAME_PATTERN = r"^[A-Za-z0-9:_-]{1,64}$"
GLOBAL_FLAGS = "--app X, --quiet, --force and --trace"


class NotACommand(BadInput):
    """There is no command of that name."""


@dataclass(slots=True)
class Globals:
    """The flags that stand before the command."""

    app: str | None = None
    quiet: bool = False
    force: bool = False
    trace: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A command line understood: what to run, and how its result is wanted."""

    command: Command
    params: dict[str, Any] = field(default_factory=dict)
    quiet: bool = False
    force: bool = False
    format: str = ""
    at: str | None = None
    dry_run: bool = False


def wants_trace(argv: Sequence[str]) -> bool:
    """Whether `--trace` stands among the global flags, however the rest of the line reads."""
    words = list(argv)
    while words and words[0].startswith("-"):
        if words[0] == "--trace":
            return True
        words = words[2:] if words[0] == "--app" else words[1:]
    return False


def parse(argv: Sequence[str]) -> Line:
    """Understand a command line, already split into words.

    Raises NotACommand for an unknown name, BadInput for anything else that is wrong with it, in one sentence.
    """
    _check_text(argv)
    flags, name, words = _split(argv)
    noun = name.removesuffix(":help")
    if noun != name and (noun in nouns() or find(noun)):
        return _help(noun)
    command = find(name)
    bare = not words and (name not in COMMANDS or needs_words(COMMANDS[name]))
    if name in nouns() and (bare or words in (["--help"], ["-h"])):
        return _help(name)
    if command is None:
        raise _unknown(name)
    if flags.app is not None and not command.takes_app:
        raise BadInput(f"--app: {command.name} is not about one app; run it without")
    try:
        params = parameters(command, name, words)
    except HelpWanted:
        return _help(name)
    quiet, force = params.pop("quiet"), params.pop("force", False)
    wanted, at, dry_run = params.pop("format", None) or "", params.pop("at"), params.pop("dry_run")
    return Line(command, params, flags.quiet or quiet, flags.force or force, wanted, at, dry_run)


def named(argv: Sequence[str]) -> Command | None:
    """The command that a line names, however the rest of it reads."""
    try:
        return find(_split(argv)[1])
    except BadInput:
        return None


def needs_words(command: Command) -> bool:
    """Whether the command cannot run with its name alone."""
    return any(param.required for param in command.parser.params)


def parameters(command: Command, name: str, words: Sequence[str]) -> dict[str, Any]:
    """The values of a command's parameters by name. Raises HelpWanted, or BadInput in one sentence."""
    try:
        parsed = command.parser.make_context(name, list(words))
    except click.UsageError as error:
        said = _said(error)
        raise BadInput(f"{name}: {said[:1].lower()}{said[1:]}; see: pushlog help {name}") from None
    if parsed.args:  # click's own sentence would repeat them, and one may be a secret
        extra = "a word" if len(parsed.args) == 1 else f"{len(parsed.args)} words"
        raise BadInput(f"{name}: {extra} too many; see: pushlog help {name}")
    params = dict(parsed.params)
    return params | _app_and_flag(name, params.pop("words")) if command.report else params


def _said(error: click.UsageError) -> str:
    """click's sentence, with an argument as the usage shows it, and a number as people call one."""
    if isinstance(error, click.NoSuchOption):  # what click thinks was meant may be a flag that this command refuses
        return f"no such option '{error.option_name}'"
    if isinstance(error, click.BadParameter) and (param := error.param):
        if isinstance(param, click.Argument):
            error.param_hint = param.metavar or f"<{param.name}>"
        if isinstance(param.type, click.IntRange) and " is not " in error.message:
            word, top = error.message.partition(" is not ")[0].strip("'"), param.type.max
            allowed = f"a whole number from {param.type.min}" + ("" if top is None else f" to {top}")
            error = click.BadParameter(f"{word!r} is not one; allowed is {allowed}", error.ctx, param, error.param_hint)
    return error.format_message().rstrip(".")


def masked(argv: Sequence[str]) -> str:
    """The command line as the log may keep it: secret values masked as each command declares it.

    What is not understood (an unknown command, a bad `config:set`) is masked after its name, and an unknown command
    altogether where it does not look like one.
    """
    try:
        _, name, words = _split(argv)
    except BadInput:
        return MASK
    command = find(name)
    hidden = f"{_plain(name)} {MASK}" if words else _plain(name)
    if command is None:
        return hidden if matches(NAME_PATTERN, name) else MASK
    try:
        secret = parameters(command, name, words)[command.secrets] if command.secrets else ()
    except (HelpWanted, BadInput):
        return hidden
    if command.confidential:
        secret = {*secret, *(word for word in words if "=" in word)}
    told = all(re.match(PAIR_PATTERN, word) for word in secret)  # else what stands before a "=" may be secret, too
    return " ".join([_plain(name), *(_mask_pair(word, told) if word in secret else _plain(word) for word in words)])


def harmless(argv: Sequence[str], sentence: str, *, kept: bool = False) -> str:
    """What is said of a command line that may hold secrets, without the pairs that it quotes; to be kept, no word.

    Who forgets the app's name, or mistypes a flag, gave a secret where none was expected.
    """
    command = named(argv)
    if command is None or not command.confidential:
        return sentence
    for word in argv:
        if "=" in word:
            sentence = sentence.replace(shown(word), MASK).replace(f"'{word}'", MASK)
    return re.sub(r"\".*\"|'[^']{2,}'", MASK, sentence) if kept else sentence


def _mask_pair(word: str, told: bool) -> str:
    return f"{word.partition('=')[0]}={MASK}" if told else MASK


def _plain(word: str) -> str:
    """The word as a shell would need it, on one line."""
    return visible(shlex.quote(word))


def _app_and_flag(name: str, words: Sequence[str]) -> dict[str, str | None]:
    """What a report is asked for: of one app or of all, and one flag or all."""
    flags = [word for word in words if word.startswith("--")]
    apps = [app_name(word) for word in words if word not in flags]
    if len(flags) > 1 or len(apps) > 1:
        raise BadInput(f"{name}: takes at most one app and one flag; see: pushlog help {name}")
    return {"app": apps[0] if apps else None, "flag": flags[0] if flags else None}


def _split(argv: Sequence[str]) -> tuple[Globals, str, list[str]]:
    """The global flags, the command's name, and its words, `--app`'s among them."""
    flags, words = Globals(), list(argv)
    while words and words[0].startswith("-"):
        flag, equals, value = words.pop(0).partition("=")
        if flag == "--app":
            if not equals and not words:
                raise BadInput("--app: the app's name is missing; allowed is --app X before the command")
            flags.app = value if equals else words.pop(0)
        elif flag in ("--quiet", "--force", "--trace") and not equals:
            setattr(flags, flag[2:], True)
        elif flag in ("--help", "-h", "--version") and not equals:
            words = ["version" if flag == "--version" else "help"]
        elif flag in ("--dry-run", "--at"):
            raise BadInput(f"{flag}: stands behind the command; allowed before it are {GLOBAL_FLAGS}")
        else:
            raise BadInput(f"{shown(flag)}: is not a global flag; allowed before the command are {GLOBAL_FLAGS}")
    name, *rest = words or ["help"]
    if rest and find(name) is None and find(f"{name}:{rest[0]}"):  # `doctor disk` is `doctor:disk`
        name, *rest = f"{name}:{rest[0]}", *rest[1:]
    return flags, name, rest if flags.app is None else [flags.app, *rest]


def _check_text(argv: Sequence[str]) -> None:
    for number, word in enumerate(argv, 1):
        try:
            word.encode()
        except UnicodeEncodeError:
            raise BadInput(f"word {number}: not UTF-8; allowed is UTF-8 text") from None
        if "\0" in word:
            raise BadInput(f"word {number}: has a NUL byte; allowed is text")


def _help(topic: str) -> Line:
    return Line(COMMANDS["help"], {"topic": topic, "everything": False})


def _unknown(name: str) -> NotACommand:
    known, equals, _ = name.partition("=")  # who sets a variable before the command, as in a shell
    sentence = f"`{shown(known)[1:-1]}{'=' + MASK if equals else ''}` is not a command."
    if name in nouns():
        return NotACommand(f"{sentence}\nSee: pushlog help {name}")
    close = difflib.get_close_matches(name[:80], [*COMMANDS, *ALIASES, *nouns()], 1)
    return NotACommand(f"{sentence}\nDid you mean {close[0]}?" if close else f"{sentence}\nSee: pushlog help")
