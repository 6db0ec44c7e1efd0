"""Files written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import RunFolderError

CHUNK = 1 << 20
# no room left, a quota used up, a limit on the size of files
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EEXIST)


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write to a temporary neighbour, flush it to the disk, rename it over the target, flush the folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def enough_room(what: str, remedy: str) -> Iterator[None]:
    """Say in plain words that a disk is full or may not be written.

    Args:
        what: is being written ("the run").
        remedy: what to do, and what is intact.

    Raises:
        RunFolderError: E304 for a full disk, E305 for a place that may not be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise RunFolderError(f"the disk is full: {what} could not be written", code="E304", remedy=remedy) from None
        if error.errno in FORBIDDEN:
            raise RunFolderError(
                f"{what} could not be written: the folder may not be written to", code="E305", remedy=remedy
            ) from None
        raise


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable; not every system lets a folder be opened, and then there is nothing to do."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(_reader(file), b""):
            digest.update(block)
    return digest.hexdigest()


def _reader(file) -> Callable[[], bytes]:  # noqa: ANN001
    """A function that reads the next block."""
    return lambda: file.read(CHUNK)
