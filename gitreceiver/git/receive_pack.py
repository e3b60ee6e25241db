"""The server's side of `git push`. dulwich speaks the protocol; refs are what the caller says they are.

The pack is checked in a quarantine; then `decide` is asked once what becomes of the refs, which may take as long as a
build and a deploy do. Meanwhile its output reaches the client as `remote: …` lines, and an empty packet does every
few seconds of silence. A client that hangs up stops none of this.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dulwich.errors import GitProtocolError, HangupException
from dulwich.objects import ObjectID
from dulwich.protocol import (
    CAPABILITY_DELETE_REFS,
    CAPABILITY_OFS_DELTA,
    CAPABILITY_QUIET,
    CAPABILITY_REPORT_STATUS,
    CAPABILITY_SIDE_BAND_64K,
    capability_agent,
    capability_object_format,
)
from dulwich.refs import Ref
from dulwich.server import Backend, ReceivePackHandler

from gitreceiver.git.conversation import Conversation, SideBand
from gitreceiver.git.indexing import BadPack, printable
from gitreceiver.git.measure import Limits
from gitreceiver.git.quarantine import Quarantine
from gitreceiver.git.repository import Repository, view
from gitreceiver.session import Disconnected, Session
from services import names
from services.errors import BadInput, PushlogError, Unavailable
from services.settings import Settings
from services.terminal import harmless

NOTHING = "0" * 40
DECLINED = "pre-receive hook declined"
STALE = "fetch first"
SHALLOW = "shallow update not allowed; run `git fetch --unshallow` and push again"


@dataclass(frozen=True, slots=True)
class RefCommand:
    """A client's wish to move `ref` from the commit `old` (None: it is new) to `new` (None: delete it)."""

    ref: str
    old: str | None
    new: str | None


Progress = Callable[[bytes], None]
"""Shows text to the client as it comes; does nothing once the client is gone."""
Tell = Callable[[str], None]


def ignore(_reason: str) -> None:
    """Tell nobody."""


Decide = Callable[[list[RefCommand], Quarantine, Progress], Mapping[str, str | None]]
"""(commands, quarantine, progress) → for each command's ref None, or the reason why it was refused."""


def receive_pack(
    session: Session,
    repo: Repository,
    *,
    refs: Mapping[str, str],
    settings: Settings,
    decide: Decide,
    refused: Tell = ignore,
) -> None:
    """Serve one `git push` into `repo`, whose refs are `refs`, and end the session.

    `decide` is called at most once, with the commands that are well-formed and whose objects are checked and lie in
    the quarantine; unless it calls `quarantine.keep`, nothing of the push remains. A PushlogError it raises refuses
    all refs with its sentence. `refused` is told why, once, when something was refused before it was recorded.
    """
    conversation = Conversation(session)
    try:
        with repo.store() as store:
            Receiver(view(store, refs), conversation, Push(repo, refs, settings, decide, refused)).handle()
        conversation.flush()
    except Disconnected:
        pass  # nobody is left to be told, and what was decided is recorded
    except HangupException:
        if conversation.begun:  # else its own words say why
            session.fail(BadInput("git: the client hung up before it said all that it pushes"))
        session.exit(1)
    except GitProtocolError as error:
        session.fail(BadInput(f"git: {printable(str(error))}"))
    except PushlogError as error:
        if not isinstance(error, Unavailable):
            refused(str(error))
        session.fail(error)
    session.exit(0)


@dataclass(frozen=True, slots=True)
class Push:
    """What a push is received with."""

    repo: Repository
    refs: Mapping[str, str]
    settings: Settings
    decide: Decide
    refused: Tell


class Receiver(ReceivePackHandler):
    """dulwich's receive-pack with our refs, our quarantine and our decision."""

    def __init__(self, backend: Backend, conversation: Conversation, push: Push) -> None:
        super().__init__(backend, [""], conversation)
        self._conversation = conversation
        self._push = push

    def capabilities(self) -> list[bytes]:
        """What git clients are offered; not atomic or push-options, which git then refuses by itself."""
        return [
            CAPABILITY_REPORT_STATUS,
            CAPABILITY_SIDE_BAND_64K,
            CAPABILITY_QUIET,
            CAPABILITY_DELETE_REFS,
            CAPABILITY_OFS_DELTA,
            capability_object_format(self.repo.object_format.name),
            capability_agent(),
        ]

    def _on_pre_receive(self, client_refs: list[tuple[ObjectID, ObjectID, Ref]]) -> None:
        """There are no hooks. Raises GitProtocolError for ids of another kind than ours."""
        for id_ in (id_ for old, new, _ in client_refs for id_ in (old, new)):
            if not names.matches(names.COMMIT_PATTERN, id_.decode()):
                raise GitProtocolError(f"{id_.decode()[:64]} is not the id of a commit")

    def _on_post_receive(self, client_refs: list[tuple[ObjectID, ObjectID, Ref]]) -> None:
        """There are no hooks."""

    def _apply_pack(self, refs: list[tuple[ObjectID, ObjectID, Ref]]) -> Iterator[tuple[bytes, bytes]]:
        """Take the pack and decide; yields the report: ("unpack", result), then (ref, "ok" or the reason)."""
        commands = [
            RefCommand(name.decode("utf-8", "backslashreplace"), commit(old), commit(new)) for old, new, name in refs
        ]  # a backslash makes a name invalid
        verdict: Mapping[str, str | None]
        self._absent = ""
        with SideBand(self._conversation, self.has_capability(CAPABILITY_SIDE_BAND_64K)) as band:
            try:
                verdict = self._judge(commands, band.say)
                unpacked = "ok"
            except (BadPack, Unavailable) as error:
                shallow = self._conversation.shallow and isinstance(error, BadPack)
                unpacked = SHALLOW if shallow else str(error)
                verdict = {command.ref: "unpacker error" for command in commands}
                self._absent = unpacked if isinstance(error, Unavailable) else ""
        self._note(unpacked, verdict)
        yield b"unpack", printable(unpacked).encode()
        for command, (_, _, name) in zip(commands, refs, strict=True):
            yield name, printable(verdict[command.ref] or "ok").encode()

    def _judge(self, commands: Sequence[RefCommand], progress: Progress) -> Mapping[str, str | None]:
        verdict: dict[str, str | None] = dict(refused_by_name(commands))
        with Quarantine(self._push.repo) as quarantine:
            if any(command.new for command in commands):
                self._take(quarantine)
            verdict |= self._refused_by_content(quarantine, [c for c in commands if c.ref not in verdict])
            wanted = [command for command in commands if command.ref not in verdict]
            if wanted:
                try:
                    verdict |= self._push.decide(wanted, quarantine, progress)
                except PushlogError as error:
                    self._absent = str(error) if isinstance(error, Unavailable) else ""
                    verdict |= dict.fromkeys((command.ref for command in wanted), str(error))
        return verdict

    def _note(self, unpacked: str, verdict: Mapping[str, str | None]) -> None:
        """Tell why something was refused. What became of a recorded push is no refusal, nor that a part was absent."""
        silent = (None, DECLINED, self._absent)
        refs = [f"{ref}: {why}" for ref, why in verdict.items() if why not in silent]
        whys = refs if unpacked == "ok" else [unpacked] if unpacked not in silent else []
        if whys:
            self._push.refused(printable(whys[0]))

    def _take(self, quarantine: Quarantine) -> None:
        quarantine.take(self._conversation.read, self._conversation.recv, self._push.settings.push_limit)
        self._conversation.expect_nothing()

    def _refused_by_content(self, quarantine: Quarantine, commands: Sequence[RefCommand]) -> dict[str, str]:
        """The refs whose new commit is not there, is no commit, or has a tree that is refused."""
        wanted = {command.ref: command.new for command in commands if command.new}
        present = {ref: new for ref, new in wanted.items() if ObjectID(new.encode()) in quarantine.store}
        quarantine.check_connected(list(present.values()), self._push.refs)
        absent = dict.fromkeys(wanted.keys() - present.keys(), "missing necessary objects")
        return absent | quarantine.look(present, Limits.of(self._push.settings))


def refused_by_name(commands: Sequence[RefCommand]) -> dict[str, str]:
    """The refs that are refused whatever they point to: odd names, and one ref twice."""
    refused: dict[str, str] = {}
    seen: set[str] = set()
    for command in commands:
        try:
            names.ref_name(command.ref)
        except BadInput:
            refused[command.ref] = "invalid ref name"
            continue
        if command.new and harmless(command.ref.encode()) != command.ref.encode():  # everyone's git prints it
            refused[command.ref] = "invalid ref name"
        if command.ref in seen:
            refused[command.ref] = "named twice in one push"
        seen.add(command.ref)
    return refused


def commit(sha: ObjectID) -> str | None:
    """A commit id of the protocol, whose zeros mean none."""
    text = sha.decode()
    return None if text == NOTHING else text
