"""Checkpoints: the state of a fit on disk every few epochs, so that an interrupted one goes on where it stood.

They lie beside the run folder to be, in ``.NAME.checkpoint/``: one safetensors file with every tensor (parameters,
person effects, variances, the best state, Adam's moments, random numbers), and ``state.json``, which names that file
with its SHA-256. The tensors are written first and ``state.json`` is renamed into place last, so that whatever
happens in between, it names a file that is whole. The folder is readable by its owner only, holds no label of a
person, and is deleted when the run folder is complete.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from toolkit.errors import RunFolderError, ToolkitError, ToolkitWarning
from toolkit.optimise.descent import Descent
from toolkit.runs.atomic import enough_room, write_atomically
from toolkit.runs.interruption import Interruption

FORMAT = 1
STATE = "state.json"
EVERY = 10  # epochs
SHARE = 0.02  # of the time, at most, goes into checkpoints
RANDOM = "random"
ANEW = "start anew with --overwrite (in Python: overwrite=True)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A checkpoint that was read: the state of `Descent`, what was fitted, on which machine, how often it went on."""

    tensors: Mapping[str, torch.Tensor]
    numbers: Mapping[str, Any]
    identity: Mapping[str, str]
    machine: Mapping[str, str]
    resumed: int


class CheckpointKeeper:
    """Keeps the state of one training loop in a folder; a `toolkit.optimise.descent.Keeper`.

    Args:
        folder: where the checkpoint is.
        identity: what is fitted, by name: a checkpoint goes on with the same only.
        interruption: signals that arrived.
        earlier: the checkpoint to go on from.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, str], interruption: Interruption, earlier: Checkpoint | None
    ) -> None:
        self.generator: torch.Generator | None = None
        self.resumed = 0 if earlier is None else earlier.resumed + 1
        self._folder, self._identity, self._interruption = folder, dict(identity), interruption
        self._earlier = earlier
        self._cost, self._written = 0.0, -1.0

    @property
    def stage(self) -> int:
        """The stage the earlier training stood in; 0 for a training in one piece."""
        return 0 if self._earlier is None else int(self._earlier.numbers["counters"].get("stage", 0))

    def begin(self, descent: Descent) -> None:
        """Put the loop where the earlier one stood, if there was one; later stages start anew."""
        if self._earlier is not None and descent.stage == self.stage:
            _warn_of_another_machine(self._earlier.machine, _machine(descent))
            descent.take_up(self._earlier.tensors, self._earlier.numbers)
            if self.generator is not None:
                self.generator.set_state(self._earlier.tensors[RANDOM])
        self._interruption.patient = True

    def epoch_ended(self, descent: Descent) -> None:
        """Write a checkpoint if it is time to; stop if a signal came.

        Raises:
            Interrupted: E308 after a signal. RunFolderError: E304 if the disk is full.
        """
        if self._interruption.wanted or self._due(descent.epoch):
            self.write(descent)
        self._interruption.obey()

    def end(self) -> None:
        """From here on signals are obeyed at once."""
        self._interruption.patient = False
        self._interruption.obey()

    def write(self, descent: Descent) -> None:
        """Write a checkpoint; the one before stays valid until the new one is complete.

        Raises:
            RunFolderError: E304 if the disk is full, E305 if the folder cannot be written.
        """
        started = time.monotonic()
        tensors = descent.tensors()
        if self.generator is not None:
            tensors[RANDOM] = self.generator.get_state()
        content, name = save(tensors), f"epoch-{descent.epoch}.safetensors"
        about = {
            "format": FORMAT,
            "epoch": descent.epoch,
            "identity": self._identity,
            "machine": _machine(descent),
            "resumed": self.resumed,
            "file": name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "numbers": descent.numbers(),
        }
        with enough_room("the checkpoint", "make room and resume with --resume: the checkpoint before is intact"):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_atomically(self._folder / name, content, mode=0o600)
            write_atomically(self._folder / STATE, json.dumps(about).encode(), mode=0o600)
            for other in self._folder.iterdir():
                if other.name not in (name, STATE):
                    other.unlink(missing_ok=True)
        self._written = time.monotonic()
        self._cost = self._written - started

    def _due(self, epoch: int) -> bool:
        """Every few epochs, unless writing would take a noticeable share of the time."""
        return epoch % EVERY == 0 and time.monotonic() - self._written >= self._cost / SHARE


@contextmanager
def checkpoints(
    target: Path | None, identity: Mapping[str, str], *, resume: bool, overwrite: bool
) -> Iterator[CheckpointKeeper | None]:
    """Keep checkpoints beside a run folder while it is made; they are deleted at the end, unless that is an error.

    Args:
        target: the run folder; None keeps none.
        identity: what is fitted: hashes of data, settings, split and so on, by name.
        resume: go on from the checkpoint, if there is one.
        overwrite: delete an earlier checkpoint instead.

    Raises:
        RunFolderError: E303 if the checkpoint is of another fit, E306 if there is one and the caller says nothing about
            it, E401, E402 or E404 if it cannot be used.
    """
    if target is None:
        yield None
        return
    folder = checkpoint_folder(target)
    if overwrite and not resume:
        shutil.rmtree(folder, ignore_errors=True)
    if (folder / STATE).exists() and not resume:
        raise RunFolderError(
            "an interrupted fit is kept beside this folder",
            code="E306",
            column="out",
            remedy=f"go on with it (--resume; in Python: resume=True), or {ANEW}",
        )
    earlier = read_checkpoint(folder)
    if earlier is not None:
        check_same(earlier.identity, identity)
    elif resume:
        words = "there is nothing to resume beside this folder: the fit starts at the first epoch"
        warnings.warn(ToolkitWarning(words, code="W224"), stacklevel=4)
    with Interruption() as interruption:
        yield CheckpointKeeper(folder, identity, interruption, earlier)
    shutil.rmtree(folder, ignore_errors=True)


def checkpoint_folder(target: Path) -> Path:
    """Where the checkpoint of a run folder is."""
    return target.with_name(f".{target.name}.checkpoint")


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint in a folder; None if none was completed there.

    Raises:
        RunFolderError: E401 if it is not readable, E402 if its tensors are not those that were written, E404 if a newer
            version wrote it.
    """
    try:
        about = json.loads((folder / STATE).read_text(encoding="utf-8"))
        if about["format"] > FORMAT:
            raise RunFolderError("the checkpoint is of a newer version", code="E404", remedy="update the toolkit")
        content = (folder / about["file"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != about["sha256"]:
            raise RunFolderError("the checkpoint is damaged (checksum differs)", code="E402", remedy=ANEW)
        return Checkpoint(
            tensors=load(content),
            numbers=about["numbers"],
            identity=about["identity"],
            machine=about["machine"],
            resumed=about["resumed"],
        )
    except FileNotFoundError:
        if not (folder / STATE).exists():
            return None
        raise _unreadable() from None
    except ToolkitError:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        raise _unreadable() from None


def check_same(then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Refuse to go on with something else (E303); says what differs, with both hashes."""
    differing = [name for name in now if then.get(name) != now[name]]
    if not differing:
        return
    listed = "; ".join(f"{name} {_short(then.get(name, 'none'))} then, {_short(now[name])} now" for name in differing)
    raise RunFolderError(
        f"the interrupted fit is another one: {listed}",
        code="E303",
        column=differing[0],
        remedy=f"resume with the data and settings it was started with, or {ANEW}",
    )


def _machine(descent: Descent) -> dict[str, str]:
    """What the last digits of a fit depend on."""
    return {
        "torch": str(torch.__version__),
        "processor": platform.machine(),
        "device": str(next(iter(descent.state.values())).device),
        "threads": str(torch.get_num_threads()),
    }


def _warn_of_another_machine(then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """W225 where a resumed fit may end at slightly other weights than an undisturbed one."""
    differing = [f"{name} ({then.get(name)} then, {now[name]} now)" for name in now if then.get(name) != now[name]]
    if differing:
        words = f"resumed with another {', '.join(differing)}: the last digits may differ from an undisturbed fit's"
        warnings.warn(ToolkitWarning(words, code="W225"), stacklevel=4)


def _short(value: str) -> str:
    """The first digits of a hash; other words as they are."""
    return value[:12] if re.fullmatch(r"[0-9a-f]{64}", value) else value


def _unreadable() -> RunFolderError:
    return RunFolderError("the checkpoint cannot be read", code="E401", remedy=ANEW)
