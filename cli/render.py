"""The one place where values become text or JSON. Results go to stdout, talk and errors to stderr."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from cli.lines import bare_log_line, draft_line, event_line, log_line
from cli.table import Context
from cli.values import (
    Batches,
    Code,
    Done,
    Events,
    Formation,
    Listing,
    LogLines,
    Pairs,
    Proof,
    Record,
    Rehearsed,
    Reports,
    Text,
    Value,
)
from services.errors import BadInput, Unavailable
from services.terminal import visible

INDENT = " " * 7
REPORT_WIDTH = 31
AT_ONCE = 1000
"""Lines of a stream that are written in one go: one by one each would be a packet of its own."""


def render(context: Context, value: Value) -> int:
    """Write a command's value as `context.format` asks; returns the exit code."""
    match value:
        case Code(number):
            return number
        case Done():
            return _done(context, value)
        case Proof():
            return _proof(context, value)
        case Text(text, exact):
            if text:
                _write(context, text if text.endswith("\n") else text + "\n", exact=exact)
        case LogLines(batches, bare):
            _stream(context, batches, bare_log_line if bare else log_line)
        case Events(batches):
            _stream(context, batches, event_line)
        case Rehearsed(events):
            _stream(context, [events], draft_line)
        case _:
            lines = json_lines(value) if context.format == "json" else text_lines(value, context)
            _write(context, "".join(line + "\n" for line in lines))
    return 0


def warn(context: Context, sentence: str) -> None:
    """Write an error or a warning to stderr, each of its lines marked, control characters escaped."""
    for line in sentence.splitlines():
        context.write_err(f" !     {visible(line)}".rstrip().encode(errors="backslashreplace") + b"\n")


def json_lines(value: Listing | Pairs | Formation | Reports) -> Iterable[str]:
    """The value as JSON, one document a line."""
    match value:
        case Listing(_, rows):
            yield _json(list(rows))
        case Pairs(_, pairs):
            yield _json(dict(sorted(pairs.items())))
        case Formation(_, quantities):
            yield _json([{"process_type": p, "quantity": n} for p, n in sorted(quantities.items())])
        case Reports(noun, apps, flag):
            if flag is not None:
                raise BadInput("--format: a single flag prints its bare value; run it without --format json")
            for app, report in apps.items():
                short = {key.removeprefix(f"{noun}-"): text for key, text in report.items()}
                full = {f"{noun}-{key}": text for key, text in short.items()}
                yield _json({"app": app} | dict(sorted((short | full).items())))


def text_lines(value: Listing | Pairs | Formation | Reports, context: Context) -> Iterable[str]:
    """The value as lines of text; headers only on a terminal that did not ask for quiet."""
    headers = context.tty and not context.quiet
    match value:
        case Listing(title, rows, columns):
            yield from [f"=====> {title}"] if headers else []
            width = context.columns if context.tty else None
            heads = [list(columns)] if headers and rows and len(columns) > 1 else []
            cells = [[_cell(row.get(key), form) for key, form in columns.items()] for row in rows]
            yield from (line[:width] for line in aligned(heads + cells))
        case Pairs(title, pairs):
            yield from [f"=====> {title}"] if headers else []
            yield from _pairs({key: visible(text) for key, text in pairs.items()})
        case Formation(app, quantities):
            yield from [f"-----> Scaling for {app}", "proctype: qty", "--------: ---"] if headers else []
            yield from _pairs({process: str(n) for process, n in quantities.items()})
        case Reports():
            yield from _reports(value, headers)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell, two spaces between."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cell(value: object, form: str) -> str:
    if value is None or value == "":
        return "-"
    return form.format(visible(str(value).lower() if isinstance(value, bool) else str(value)))


def _pairs(pairs: dict[str, str]) -> list[str]:
    return aligned([(f"{key}:", text) for key, text in sorted(pairs.items())])


def _reports(value: Reports, headers: bool) -> Iterable[str]:
    for app, rows in value.apps.items():
        if value.flag is not None:
            yield _bare(value.noun, rows, value.flag)
            continue
        yield from [f"=====> {app} {value.noun} information"] if headers else []
        labels = {key: key[:1].upper() + key[1:].replace("-", " ") + ":" for key in sorted(rows)}
        width = max([REPORT_WIDTH, *(len(label) + 1 for label in labels.values())])
        yield from (f"{INDENT}{label:<{width}}{visible(rows[key])}".rstrip() for key, label in labels.items())


def _bare(noun: str, rows: Record, flag: str) -> str:
    key = flag.removeprefix("--")
    for known in (key, f"{noun}-{key}", key.removeprefix(f"{noun}-")):
        if known in rows:
            return str(rows[known])
    raise BadInput(f"Invalid flag passed, valid flags: {', '.join(f'--{known}' for known in sorted(rows))}")


def _proof(context: Context, value: Proof) -> int:
    if context.format == "text" or (context.tty and not context.format):
        (context.write if value.holds else context.write_err)(
            f"{'-----> ' if value.holds else ' !     '}{visible(value.said)}\n".encode()
        )
        _write(context, "".join(f"{INDENT}{line}\n" for line in _pairs({k: str(v) for k, v in value.found.items()})))
    else:
        _write(context, _json({"holds": value.holds, "said": value.said, **value.found}) + "\n")
    return 0 if value.holds else 1


def say(context: Context, message: str, details: Mapping[str, str], notes: Sequence[str] = ()) -> None:
    """Write a step and what belongs to it to stderr, unless quiet is wanted."""
    if not context.quiet:
        pairs = _pairs({key: visible(text) for key, text in details.items()})
        talk = [f"-----> {visible(message)}", *(INDENT + line for line in [*pairs, *notes])]
        context.write_err("".join(line + "\n" for line in talk).encode())


def _done(context: Context, value: Done) -> int:
    if value.message:
        say(context, value.message, value.details, value.notes)
    if value.correlation is None:
        return 0
    for said in context.follow(value.correlation):
        if isinstance(said, int):
            return said
        context.write_err(said)
    raise Unavailable("the outcome did not arrive; see it with: pushlog events")


def _stream(context: Context, batches: Batches, line: Callable[[Record], str]) -> None:
    told = _json if context.format == "json" else line
    for batch in batches:
        for at in range(0, len(batch), AT_ONCE):
            _write(context, "".join(told(record) + "\n" for record in batch[at : at + AT_ONCE]))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write(context: Context, text: str, *, exact: bool = False) -> None:
    context.write(text.encode(errors="backslashreplace"), exact=exact)
