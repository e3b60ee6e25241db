"""Runs one command line from its words to its exit code, for SSH and for the local `pushlog` alike."""

import json
import logging
import traceback
from collections.abc import Callable, Sequence

from cli import commands as commands  # entering every command into the table
from cli.parsing import Line, harmless, named, parse, wants_trace
from cli.parsing import masked as masked
from cli.render import render, warn
from cli.table import Command, Context
from cli.values import Rehearsed
from services.errors import NoSuchApp, PushlogError, Refused, WouldRecord
from services.moments import moment, position_at

logger = logging.getLogger("pushlog.cli")
ANSWER_LIMIT = 256


class Denied(Refused):
    """The asker may not do this."""


Failed = Callable[[Command | None, PushlogError], None]


def run(context: Context, argv: Sequence[str], failed: Failed | None = None) -> int:
    """Run the command line `argv`, already split into words; returns the exit code.

    Whatever goes wrong becomes one sentence on stderr; `failed` is told of an error that a user can act on, with the
    command that was named. What nobody foresaw is logged, too, and shown in full only with `--trace`.
    """
    try:
        return _perform(context, parse(argv))
    except WouldRecord as told:
        return render(context, Rehearsed(json.loads(str(told))))
    except PushlogError as error:
        then = f" at position {context.at}" if isinstance(error, NoSuchApp) and context.at is not None else ""
        code = _fail(context, harmless(argv, f"{error}{then}"), error.exit_code)
        if failed:
            failed(named(argv), error)
        return code
    except Exception as error:  # the operator sees it in the platform's log, the asker as a sentence
        logger.exception("an unexpected error in: %s", masked(argv))
        sentence = f"Pushlog failed unexpectedly ({type(error).__name__}); its own log says more"
        if wants_trace(argv):
            sentence += "\n" + traceback.format_exc()
        return _fail(context, sentence, 1)


def _perform(context: Context, line: Line) -> int:
    command, app = line.command, line.params.get("app")
    context.quiet, context.force, context.format, context.dry_run = line.quiet, line.force, line.format, line.dry_run
    context.at = None if line.at is None else position_at(context.log, moment(line.at))
    if command.needs != "nothing" and not context.permits(command.needs, app):
        raise Denied(f"{command.name}: permission denied")
    if command.destroys and not context.force and not context.dry_run:
        _confirm(context, line.params[command.destroys])
    return render(context, command.function(context, **line.params))


def _confirm(context: Context, app: str) -> None:
    """Have the app's name typed again. Raises Refused when something else is."""
    if not context.call("configsvc", "app_exists", name=app):
        raise NoSuchApp.named(app)
    if context.tty:
        warn(context, "WARNING: Potentially Destructive Action")
        warn(context, f"This command will destroy {app}.")
        warn(context, f'To proceed, type "{app}"')
        context.write_err(b"\n> ")
    typed = context.read_line(ANSWER_LIMIT).decode(errors="replace")
    if context.tty and not typed.endswith("\n"):  # Ctrl-D leaves the cursor behind the prompt
        context.write_err(b"\n")
    if typed.strip() != app:
        raise Refused(f"Confirmation did not match {app}; nothing was done")


def _fail(context: Context, sentence: str, code: int) -> int:
    try:
        warn(context, sentence)
    except (PushlogError, OSError) as error:
        if str(error) != sentence:  # else the client left, and that is all
            logger.info("the client left before it was told: %s", sentence)
    return code
