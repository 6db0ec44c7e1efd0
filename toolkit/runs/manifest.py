"""The manifest of a run: enough to know what was done, and to do it again."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

import toolkit
from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import nested_in
from toolkit.data.study import Study
from toolkit.models.tables import MINIMUM_ROWS
from toolkit.runs.families import AnyTrained
from toolkit.runs.folder import SCHEMA_VERSION

PACKAGES = ("torch", "numpy", "pandas", "scipy")
MODEL_NAMES = {
    "NmeMlp": "nme-mlp",
    "NmeCrf": "nme-crf",
    "GenericMlp": "generic-mlp",
    "GenericCrf": "generic-crf",
    "SpecificCrf": "specific-crf",
    "SpecificMlp": "specific-mlp",
    "MlpLme": "mlp-lme",
    "Lmm": "lmm",
    "Glmm": "glmm",
    "Lmmnn": "lmmnn",
    "McGmenn": "mc-gmenn",
    "Pen": "pen",
    "PenShared": "pen-shared",
    "OneHotMlp": "one-hot-mlp",
    "EmbeddingMlp": "embedding-mlp",
    "Lstm": "lstm",
    "MapCnn": "map-cnn",
    "SvDkl": "svdkl",
    "DeepGlmm": "deep-glmm",
    "MeNets": "menets",
    "Armed": "armed",
    "TargetEncodingMlp": "target-encoding-mlp",
}


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def describe_run(
    trained: AnyTrained,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    split: str,
    seed: int,
    started: str,
    warnings: list[str],
    study: Study | None,
) -> dict[str, Any]:
    """Everything the manifest says except name and files."""
    network, outcome = trained.network, trained.outcome
    few = np.bincount(np.asarray(data.person), minlength=data.n_persons) < MINIMUM_ROWS
    device = next(iter(network.shared.values())).device
    status = outcome.status
    return {
        "schema_version": SCHEMA_VERSION,
        "model": MODEL_NAMES[type(network.config).__name__],
        "task": network.task,
        "config": network.config.model_dump(mode="json"),
        "effects": list(trained.effect_names),
        "target": data.target_name,
        "targets": list(data.target_names),
        "study": _study(data, network.classes, study),
        "data": {
            "hash": data.content_hash(),
            "rows": data.n_rows,
            "persons": data.n_persons,
            "pseudonymous": data.pseudonymous,
            "features": list(data.feature_names),
            "features_left_out": list(network.scaler.dropped),
            **_groupings(data),
        },
        "exclusions": _exclusions(data, few),
        "split": {
            "name": split,
            "rows": {part: int((labels == part).sum()) for part in ("train", "validation", "test")},
        },
        "seed": seed,
        "streams": {"initial weights": "torch.Generator, first child of SeedSequence(seed)"},
        "versions": current_versions(),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "started": started,
        "finished": now(),
        "status": {
            "code": status.name,
            "sentence": outcome.sentence(validated=bool((labels == "validation").any())),
            "converged": status.converged,
            "best_epoch": outcome.best_epoch,
            "epochs": outcome.epochs,
            **trained.status_details,
        },
        "resume_count": 0,
        "warnings": warnings,
    }


def _study(data: GroupedDataset, classes: tuple[str, ...] | None, study: Study | None) -> dict[str, Any]:
    """Names and labels for headings, figures and sentences."""
    labels = sorted({label for label in data.person_group if label is not None})
    known = dict(study.group_labels) if study is not None else {}
    return {
        "name": study.name if study is not None else "data",
        "title": study.title if study is not None else "Data",
        "citation": study.citation if study is not None else "",
        "licence": study.licence if study is not None else "",
        "target": data.target_name,
        "group_name": data.group_name,
        "group_labels": {label: known.get(label, label) for label in labels},
        "cluster_name": data.cluster_name,
        "states": list(classes or ()),
        "definitions": study.definitions() if study is not None else [],
        "unit": study.unit if study is not None else "row",
        **({"groupings": list(study.grouping_names)} if study is not None and study.groupings else {}),
    }


def _groupings(data: GroupedDataset) -> dict[str, Any]:
    """Further grouping factors: how many levels each has, and in levels of which other factor each of them lies.

    ``hash_persons`` is the hash of the same rows without them: models with and without further factors are compared on
    the same rows.
    """
    if len(data.groupings) == 1:
        return {}
    found = [
        {"name": factor.name, "levels": len(factor.levels), "within": nested_in(factor, data.groupings)}
        for factor in data.groupings
    ]
    return {"groupings": found, "hash_persons": data.of_persons().content_hash()}


def _exclusions(data: GroupedDataset, few: np.ndarray) -> list[dict[str, Any]]:
    """Who is left out of what, and why."""
    if not few.any():
        return []
    rows = int(few[np.asarray(data.person)].sum())
    reason = f"fewer than {MINIMUM_ROWS} rows: in the training, not in the metrics"
    return [{"reason": reason, "persons": int(few.sum()), "rows": rows}]


def current_versions() -> Mapping[str, str]:
    """Versions of what computed the run."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"toolkit": toolkit.__version__, "python": platform.python_version(), **found}
