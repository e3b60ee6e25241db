"""Which repository a git client asks for."""

from services.errors import BadInput
from services.names import app_name, shown

VERBS = ("git-receive-pack", "git-upload-pack")


def parse_git_command(argv: list[str]) -> tuple[str, str] | None:
    """The verb (one of VERBS) and the app's name of a git client's command; None for any other command.

    The operand is the path of a URL: one leading `/` or `~/` and one trailing `.git` are its decoration, as on Heroku.
    Raises BadInput for anything but exactly one operand that names an app.
    """
    if argv[0] == "git" and len(argv) > 1 and f"git-{argv[1]}" in VERBS:
        argv = [f"git-{argv[1]}", *argv[2:]]
    verb, *operands = argv
    if verb not in VERBS:
        return None
    if len(operands) != 1:
        raise BadInput(f"git: {len(operands)} operands after {verb}; allowed is one, the app")
    path = operands[0]
    name = path.removeprefix("~/") if path.startswith("~/") else path.removeprefix("/")
    name = name.removesuffix(".git")
    if name.endswith(".git"):
        raise BadInput(f"app: {shown(path)} ends in .git twice; allowed is once")
    return verb, app_name(name)
