"""``fit``: one call from data to a fitted model, and to its run folder if asked."""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from toolkit.data.checks import check_trainable
from toolkit.data.grouped import GroupedDataset
from toolkit.data.outcomes import NUMBER_TASKS, rows_for
from toolkit.data.split_designs import make_split
from toolkit.data.split_file import load_split, names_split_file
from toolkit.data.splits import Split, all_training, explicit, warn_of_untrained_persons
from toolkit.data.study import Study
from toolkit.errors import ConfigError, ToolkitWarning
from toolkit.models.config import Configuration
from toolkit.models.effect_tables import boundary_notes, boundary_sentences
from toolkit.models.outcomes import task_of
from toolkit.models.training import Trained, pick_device
from toolkit.optimise.minimise import Progress
from toolkit.optimise.status import Status
from toolkit.optimise.threads import threads_for
from toolkit.runs.checkpoint import CheckpointKeeper, checkpoints
from toolkit.runs.families import AnyTrained, family_of
from toolkit.runs.lock import claimed
from toolkit.runs.manifest import describe_run, now
from toolkit.runs.run import Data, Run, rows_of
from toolkit.runs.writing import check_target, clear_leftovers, write_run

SplitChoice = str | Path | Split | ArrayLike | None


def fit(  # noqa: PLR0913 - what is fitted, how it is split, and where it is kept are all choices of the caller
    config: Configuration,
    data: Data,
    *,
    seed: int,
    device: str = "auto",
    split: SplitChoice = "within-person-time",
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    study: Study | None = None,
    progress: Progress | Literal["auto"] | None = "auto",
) -> Run:
    """Fit a model.

    While a run folder is being made, checkpoints are kept beside it. Ctrl-C and SIGTERM wait for the end of the epoch,
    and what was reached stays. A resumed fit ends at the same weights as one that was never interrupted, to the last
    bit on the same machine with the same number of threads.

    Args:
        config: settings, one of the classes in `toolkit.models`.
        data: rows or sequences; the first grouping factor is the person.
        seed: seed of the initial weights; the same seed on the same machine gives the same numbers.
        device: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.
        split: ``within-person-time`` (the first 60 % of each person's rows train, 20 % validate, 20 % test), another
            design (see `toolkit.data.split_designs`), a split or a file that holds one, one of ``train``,
            ``validation``, ``test`` per row, or None: every row trains until the training objective settles.
        out: folder of the run to write; None keeps it in memory.
        overwrite: replace a finished run in that folder, and start anew where an interrupted fit was kept.
        resume: go on with the interrupted fit kept beside that folder.
        study: where titles and group labels come from.
        progress: called with epoch, epochs and the monitored loss; ``auto`` draws a bar in a terminal.

    Raises:
        DataError: the data cannot be fitted (E103, E109, E115, E116, E117, E118, E121) or the folder not be written
            (E304, E305, E306, E307); the interrupted fit is another one (E303) or damaged (E401, E402, E404).
        ConfigError: a setting does not apply (E302).
        Interrupted: a signal came (E308).
    """
    started = now()
    rows = rows_of(data)
    rows = rows_for(task_of(config), rows)
    check_trainable(rows)
    _check_fitting(config, rows)
    target = None if out is None else Path(out)
    if target is not None:
        check_target(target, overwrite=overwrite)
    elif resume:
        raise ConfigError("resuming needs the run folder", code="E302", column="resume", remedy="name it (out=)")
    parts = _split(rows, split, seed)
    with claimed(target):
        if target is not None:
            clear_leftovers(target)
            check_target(target, overwrite=overwrite)  # the leftovers may have held a run
        identity = {} if target is None else _identity(config, rows, parts, seed)
        with checkpoints(target, identity, resume=resume, overwrite=overwrite) as keeper:
            with threads_for(rows.n_rows, max([rows.n_features, *getattr(config, "hidden", ())])):
                run = _trained_run(
                    config, rows, parts, seed=seed, device=device, progress=progress, study=study, started=started,
                    keeper=keeper,
                )  # fmt: skip
            if target is not None:
                write_run(run, rows, target, overwrite=overwrite)
    return run


def _identity(config: Configuration, rows: GroupedDataset, parts: Split, seed: int) -> dict[str, str]:
    """What has to be the same when a fit is resumed: hashes, and words where those say more."""
    settings = json.dumps(config.model_dump(mode="json"), sort_keys=True)
    return {
        "model": type(config).__name__,
        "settings": hashlib.sha256(settings.encode()).hexdigest(),
        "data": rows.content_hash(),
        "split": hashlib.sha256("".join(parts.labels.tolist()).encode()).hexdigest(),
        "seed": str(seed),
    }


def _trained_run(
    config: Configuration,
    rows: GroupedDataset,
    parts: Split,
    *,
    seed: int,
    device: str,
    progress: Progress | Literal["auto"] | None,
    study: Study | None,
    started: str,
    keeper: CheckpointKeeper | None,
) -> Run:
    """Train, and build every table."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ToolkitWarning)
        warn_of_untrained_persons(rows, parts)
        trained = _train(config, rows, parts.labels, seed=seed, device=device, progress=progress, keeper=keeper)
        _warn_of_lost_numbers(trained, parts.labels)
    notes = [str(entry.message) for entry in caught if isinstance(entry.message, ToolkitWarning)]
    for entry in caught:
        warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
    manifest = describe_run(
        trained,
        rows,
        parts.labels,
        split=parts.name,
        seed=seed,
        started=started,
        warnings=[*rows.notes, *notes],
        study=study,
    )
    manifest["resume_count"] = 0 if keeper is None else keeper.resumed
    tables = family_of(config).tables(trained, rows, parts.labels)
    if isinstance(trained, Trained):
        components = tables["variance_components"]
        manifest["warnings"] += boundary_notes(components)
        manifest["status"]["sentence"] = " ".join([manifest["status"]["sentence"], *boundary_sentences(components)])
    return Run(trained=trained, tables=tables, manifest=manifest, split=parts.labels)


def _warn_of_lost_numbers(trained: AnyTrained, labels: np.ndarray) -> None:
    """E301 as a warning: there is a model, but training broke off."""
    outcome = trained.outcome
    if outcome.status is Status.NOT_FINITE:
        sentence = outcome.sentence(validated=bool((labels == "validation").any()))
        warnings.warn(ToolkitWarning(sentence.removeprefix("E301: "), code="E301"), stacklevel=4)


def _check_fitting(config: Configuration, data: GroupedDataset) -> None:
    """Refuse a configuration that is not complete, and data of a kind it is not for (E302)."""
    for setting, words in (("extractor", "an extractor"), ("module", "a network")):
        if isinstance(getattr(config, setting, None), dict):
            raise ConfigError(
                f"the model has {words} of your own, which no run folder holds: it cannot be fitted again without it",
                code="E302",
                column=setting,
                remedy=f"fit it in Python, where the {setting} can be given",
            )
    task = task_of(config)
    if task in NUMBER_TASKS and data.is_classification:
        raise ConfigError(
            f"task '{task}' needs a numeric target; this one holds classes",
            code="E302",
            column="task",
            remedy="use task='multiclass', 'ordinal' or 'binary', or a chain model",
        )
    if task == "binary" and len(data.classes or ()) != 2:
        raise ConfigError("task 'binary' needs a target with two classes", code="E302", column="task")
    family_of(config).check(config, data)


def _split(data: GroupedDataset, split: SplitChoice, seed: int) -> Split:
    """The part of each row: from a file, by a design's name, or as the caller says."""
    if split is None:
        return all_training(data)
    if isinstance(split, Split):
        return explicit(data, split.labels, name=split.name)
    if isinstance(split, Path) or (isinstance(split, str) and names_split_file(split)):
        return load_split(split, data)
    if isinstance(split, str):
        # the second stream of the seed: the first makes the initial weights
        return make_split(split, data, rng=np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[1]))
    return explicit(data, split)


def _train(
    config: Configuration,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    seed: int,
    device: str,
    progress: Progress | Literal["auto"] | None,
    keeper: CheckpointKeeper | None,
) -> AnyTrained:
    """Train with a stream of its own for the initial weights, under a progress bar if there is a terminal."""
    stream = np.random.SeedSequence(seed).spawn(1)[0]
    generator = torch.Generator().manual_seed(int(stream.generate_state(1, np.uint64)[0] >> 1))
    if keeper is not None:
        keeper.generator = generator
    shown = progress == "auto" and sys.stderr.isatty()
    with _bar(type(config).__name__) if shown else nullcontext(None if progress == "auto" else progress) as report:
        return family_of(config).train(
            config, data, labels, generator=generator, device=pick_device(device), progress=report, keeper=keeper
        )


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    """The progress bar, imported when it is needed."""
    from toolkit.runs.progress import epoch_bar

    with epoch_bar(title) as report:
        yield report
