"""A small file system of the tests' own, to be filled and freed. Mounting it needs root."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

BLOCK = 4096


@dataclass
class SmallDisk:
    """An ext4 of `size` bytes in a file of `folder`, mounted at `path`."""

    folder: Path
    size: int

    @property
    def path(self) -> Path:
        """Where it is mounted."""
        return self.folder / "disk"

    def mount(self) -> None:
        """Make and mount it."""
        image = self.folder / "disk.ext4"
        with image.open("wb") as file:
            file.truncate(self.size)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-b", str(BLOCK), str(image)], check=True)
        self.path.mkdir()
        subprocess.run(["mount", "-o", "loop", str(image), str(self.path)], check=True)

    def fill(self, leave: int = 0) -> None:
        """Take all room but `leave` bytes."""
        with (self.path / "filler").open("ab") as file:
            size = self.room() - leave
            while size >= BLOCK:
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size // BLOCK * BLOCK)
                    size = self.room() - leave
                except OSError:  # the file's own map of blocks took some of the room
                    size //= 2

    def room(self) -> int:
        """How many bytes are free."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def free(self) -> None:
        """Give it back."""
        (self.path / "filler").unlink(missing_ok=True)

    def unmount(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", "-l", str(self.path)], check=True)
