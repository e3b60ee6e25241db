"""The trees below `<home>/nginx`, each a configuration, and `current`, the link to the one in use."""

import secrets
import shutil
from pathlib import Path

from router.render import internal, tree_id


class Trees:
    """The trees in `folder`, named relative to it: `trees/<id>.<random>`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._current = folder / "current"

    def target(self) -> str:
        """The tree in use, or nothing when there is none."""
        return str(self._current.readlink()) if self._current.exists() else ""

    def write(self, files: dict[str, str]) -> str:
        """Write a new tree of `files`; returns its name."""
        # Not synced to the disk: it all follows from the log, and after a power cut no nginx runs, so it is made anew.
        target = f"trees/{tree_id(files)}.{secrets.token_hex(4)}"
        (self.folder / target / "apps").mkdir(parents=True)
        for path, text in (files | internal(target)).items():
            (self.folder / target / path).write_text(text)
        return target

    def point(self, target: str) -> None:
        """Have `current` lead to a tree."""
        link = self.folder / "current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        link.replace(self._current)

    def holds(self, files: dict[str, str]) -> bool:
        """Whether the tree in use is that of `files`, and nobody changed it."""
        target = self.target()
        if not target.startswith(f"trees/{tree_id(files)}."):
            return False
        try:
            return all((self._current / path).read_text() == text for path, text in (files | internal(target)).items())
        except (OSError, UnicodeDecodeError):
            return False

    def socket(self, target: str) -> Path:
        """Where the tree's name is told."""
        return self.folder / target / "tree.sock"

    def remove(self, target: str) -> None:
        """Remove a tree that is not in use."""
        shutil.rmtree(self.folder / target)

    def clean(self, keep: set[str]) -> None:
        """Remove all trees but these."""
        for folder in (self.folder / "trees").iterdir():
            if f"trees/{folder.name}" not in keep:
                shutil.rmtree(folder)
