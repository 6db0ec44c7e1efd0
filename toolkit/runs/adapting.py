"""``adapt``: a fitted model meets new persons and a few of their rows."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import load

from toolkit.data.grouped import GroupedDataset
from toolkit.data.pseudonyms import read_key
from toolkit.data.splits import Split
from toolkit.data.study import Study
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.models.extractors import Extractor
from toolkit.models.modules import Module
from toolkit.optimise.minimise import Progress
from toolkit.optimise.threads import threads_for
from toolkit.runs.families import AnyNetwork, AnyTrained, family_of
from toolkit.runs.folder import SavedRun
from toolkit.runs.manifest import describe_run, now
from toolkit.runs.restore import restore_network
from toolkit.runs.run import OWN_LABELS, Data, Run, rows_of
from toolkit.runs.writing import check_target, write_run

LABELS = ("train", "validation", "test", "unused")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptSettings:
    """How a network of experts adapts; a mixed effects model has nothing to set.

    Attributes:
        epochs: most epochs; 30 as published.
        lr: learning rate; by default a third of the model's own, and its own for a fresh start.
        fresh: start heads, experts and gate anew and keep the extractor only: the model as it would be without the
            persons it was trained with (t-SN and t-PEN of Feffer et al., 2018).
        soften: how undecided the gate is made before it learns, as a share of the largest entropy; 0 leaves it as it
            is, as published.
    """

    epochs: int = 30
    lr: float | None = None
    fresh: bool = False
    soften: float = 0.75


def adapt(  # noqa: PLR0913 - as fit: what is adapted, to which rows, and where it is kept
    run: Run | SavedRun,
    data: Data,
    *,
    seed: int,
    split: Split | ArrayLike | None = None,
    settings: AdaptSettings | None = None,
    extractor: Extractor | None = None,
    module: Module | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    study: Study | None = None,
    progress: Progress | None = None,
    tables: bool = True,
) -> Run:
    """Adapt a fitted model to persons it has not seen, from a handful of their rows; the run itself stays as it is.

    A mixed effects model (NmeMlp, NmeCrf) finds each new person's effects, given its shared parameters and variances:
    posterior mode, SD and interval. A network of experts (Pen) trains experts and gate further without asking who is
    who, its shared network (PenShared) the head.

    Args:
        run: a run, in memory or from its folder.
        data: rows of the new persons.
        seed: order of the rows, for experts.
        split: one of ``train`` (adapts), ``validation``, ``test`` (is predicted) and ``unused`` (left out) per row, or
            a split such as `toolkit.data.adaptation_splits.adaptation_split` makes; None: every row adapts.
        settings: of experts, see `AdaptSettings`.
        extractor: the feature extractor of your own that a run from its folder was fitted with.
        module: likewise, the network of your own.
        out: folder of the adapted run to write; None keeps it in memory.
        overwrite: replace a finished run in that folder.
        study: where titles and group labels come from.
        progress: called with epoch, epochs and the monitored loss.
        tables: build the tables of the run; without, it predicts and no more.

    Returns:
        A run of the new persons: predictions, effects, tables and metrics are theirs.

    Raises:
        DataError: E133 for persons the run was trained with, E103 for another target, E405 for missing features, E120
            for an unknown class.
        ConfigError: E302 for a model in which nothing differs between persons, or settings that do not apply.
        RunFolderError: E305 or E306 for the folder, E40x for a damaged run.
    """
    started = now()
    target = None if out is None else Path(out)
    if target is not None:
        check_target(target, overwrite=overwrite)
    kept = tables or target is not None
    found = adapt_model(
        run, data, seed=seed, split=split, settings=settings, extractor=extractor, module=module,
        predict_only=not kept, progress=progress,
    )  # fmt: skip
    manifest = describe_run(
        found.trained, found.rows, found.labels, split=found.split, seed=seed, started=started,
        warnings=[*found.rows.notes, *found.warnings], study=study,
    )  # fmt: skip
    manifest["adapted_from"] = _origin(run)
    made = family_of(found.trained.network.config).tables(found.trained, found.rows, found.labels) if kept else {}
    made.pop("transition_covariates", None)  # of all persons: what the run adapted from says
    adapted = Run(trained=found.trained, tables=made, manifest=manifest, split=found.labels)
    if target is not None:
        write_run(adapted, found.rows, target, overwrite=overwrite)
    return adapted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapted:
    """A model that has met new persons, before anything is described or kept.

    Attributes:
        trained: the model.
        rows: the rows in use, in the model's classes.
        labels: part of each.
        split: name of the split.
        warnings: what was said on the way.
    """

    trained: AnyTrained
    rows: GroupedDataset
    labels: np.ndarray
    split: str
    warnings: tuple[str, ...]


def adapt_model(
    run: Run | SavedRun,
    data: Data,
    *,
    seed: int,
    split: Split | ArrayLike | None = None,
    settings: AdaptSettings | None = None,
    extractor: Extractor | None = None,
    module: Module | None = None,
    predict_only: bool = False,
    progress: Progress | None = None,
) -> Adapted:
    """What `adapt` does, with its arguments and errors, but without tables, manifest and folder.

    With ``predict_only``, what tables need and predictions do not is left out.
    """
    network, sigma2 = model_of(run, extractor, module)
    rows, labels, name = _rows(network, rows_of(data), split)
    check_new(trained_persons(run), rows)
    with warnings.catch_warnings(record=True) as caught, threads_for(rows.n_rows, max(rows.n_features, 1)):
        warnings.simplefilter("always", ToolkitWarning)
        trained = family_of(network.config).adapt(
            network, sigma2, rows, labels, generator=torch.Generator().manual_seed(seed), settings=settings,
            predict_only=predict_only, progress=progress,
        )  # fmt: skip
    for entry in caught:
        warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
    notes = tuple(str(entry.message) for entry in caught if isinstance(entry.message, ToolkitWarning))
    return Adapted(trained=trained, rows=rows, labels=labels, split=name, warnings=notes)


def model_of(
    run: Run | SavedRun, extractor: Extractor | None = None, module: Module | None = None
) -> tuple[AnyNetwork, float]:
    """The fitted network of a run and its residual variance."""
    if isinstance(run, Run):
        estimate = getattr(run.trained, "estimate", None)
        return run.trained.network, 1.0 if estimate is None else float(estimate.sigma2)
    tensors = load(run.content("generic.safetensors"))
    value = tensors["sigma2"] if "sigma2" in tensors else torch.ones(())
    return restore_network(run, extractor=extractor, module=module), float(value)


def _rows(
    network: AnyNetwork, data: GroupedDataset, split: Split | ArrayLike | None
) -> tuple[GroupedDataset, np.ndarray, str]:
    """Rows that are used, in the model's classes, with their parts."""
    if network.classes is not None and data.target_name is not None:
        data = data.as_classes(network.classes)
    _check_target(network, data)
    data = data.of_present_persons()
    if split is None:
        return data, np.full(data.n_rows, "train"), "adaptation-all"
    labels = np.asarray(split.labels if isinstance(split, Split) else split).astype(str)
    if labels.shape != (data.n_rows,) or not np.isin(labels, LABELS).all():
        raise ConfigError(
            f"the split has to be one of {', '.join(LABELS)} for each of the {data.n_rows} rows",
            code="E302",
            column="split",
        )
    used = labels != "unused"
    return data.take(used), labels[used], split.name if isinstance(split, Split) else "explicit"


def _check_target(network: AnyNetwork, data: GroupedDataset) -> None:
    """Refuse data without the model's target (E103)."""
    wanted = getattr(network, "target_names", ())
    if data.target_name is None or (wanted and data.target_names != wanted):
        raise DataError(
            "the data do not hold the model's target",
            code="E103",
            column="target",
            remedy=f"name {', '.join(wanted)}" if wanted else "name the target the model was fitted to",
        )


def check_new(trained: set[str], data: GroupedDataset) -> None:
    """Refuse persons the model was trained with (E133): they would be judged by rows it knows."""
    known = trained & set(data.persons)
    if known:
        rows = np.isin(np.array(data.persons, dtype=object)[np.asarray(data.person)], sorted(known))
        raise DataError(
            f"{len(known)} of {data.n_persons} persons were in the model's training",
            code="E133",
            column=data.groupings[0].name,
            rows=(np.asarray(data.row_numbers)[rows] + 2).tolist(),
            remedy="adapt to new persons only; the model has what it can know about the others",
        )


def trained_persons(run: Run | SavedRun) -> set[str]:
    """Persons with rows in the training of a run: by label where the key is at hand, else by pseudonym."""
    table = run.persons()
    names = set(table.loc[table["rows_train"] > 0, "person"].astype(str))
    if isinstance(run, Run):
        return names
    key = read_key(_key_of(run)).get("person", {})
    return names | {own for own, name in key.items() if name in names}


def _origin(run: Run | SavedRun) -> dict[str, str]:
    """Which run was adapted, for the manifest, and what its persons are called."""
    manifest = run.manifest
    own = not manifest["data"].get("pseudonymous", False)
    if isinstance(run, SavedRun):
        own = own and _key_of(run).exists()
    return {
        "name": str(manifest.get("name", "in memory")),
        "model": str(manifest["model"]),
        "data": str(manifest["data"]["hash"]),
        "labels": OWN_LABELS if own else "pseudonyms",
    }


def _key_of(run: SavedRun) -> Path:
    """The key of a run folder's pseudonyms, where there is one."""
    return run.path.with_name(f"{run.path.name}.key.csv")
