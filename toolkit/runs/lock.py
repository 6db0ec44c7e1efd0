"""One run at a time in a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import RunFolderError


@contextmanager
def claimed(folder: Path | None) -> Iterator[None]:
    """Keep other runs out of a folder while this one fits; the lock of a run that died is taken over.

    Args:
        folder: the run folder to be; ``None`` claims nothing.

    Raises:
        RunFolderError: E307 if another run is being fitted into the folder.
    """
    if folder is None:
        yield
        return
    lock = folder.with_name(f".{folder.name}.lock")
    _take(lock)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _take(lock: Path) -> None:
    for _ in range(2):
        try:
            descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            if _is_alive(lock):
                break
            lock.unlink(missing_ok=True)
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(str(os.getpid()))
        return
    raise RunFolderError(
        "another run is being fitted into this folder",
        code="E307",
        column="out",
        remedy=f"wait for it, or choose another name; if none is running, delete {lock.name} beside the folder",
    )


def _is_alive(lock: Path) -> bool:
    """Whether the process that wrote a lock is still there; in doubt it is."""
    if os.name == "nt":  # asking there would send the process a signal
        return lock.exists()
    try:
        os.kill(int(lock.read_text() or 0), 0)
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    except OSError as error:
        return error.errno != errno.ESRCH
    return True
