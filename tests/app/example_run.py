"""Small frames in the run folder's format, with a known difference between two groups."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

STATES = ("aggressive", "dysphoric", "positive", "other")
CRF_PARAMETERS = [f"transitions[{a},{b}]" for a in STATES for b in STATES]
MLP_PARAMETERS = ["layers.2.weight[0]", "layers.2.weight[1]", "layers.2.bias"]


@dataclass(frozen=True)
class Frames:
    persons: pd.DataFrame
    random_effects: pd.DataFrame
    variance_components: pd.DataFrame
    transitions: pd.DataFrame
    predictions: pd.DataFrame
    metrics: pd.DataFrame
    trace: pd.DataFrame


def example_frames(
    *,
    model: str = "nme-crf",
    persons: int = 40,
    groups: tuple[str, ...] = ("depressed", "not depressed"),
    clusters: bool = False,
) -> Frames:
    rng = np.random.default_rng(11)
    table = _persons(persons, groups, clusters=clusters, crf=model.endswith("crf"), rng=rng)
    personal = model.startswith("nme")
    parameters = CRF_PARAMETERS if model.endswith("crf") else MLP_PARAMETERS
    effects = rng.normal(0, 0.5, (persons, len(parameters))) * personal
    effects[:, 1] += 0.6 * (table["group"] == groups[0]) * personal
    return Frames(
        persons=table,
        random_effects=_effects(table, parameters, effects) if personal else _effects(table, [], effects[:, :0]),
        variance_components=_variances(parameters, effects),
        transitions=_transitions(table, effects, rng) if model.endswith("crf") else pd.DataFrame(),
        predictions=_predictions(table, model, rng),
        metrics=_metrics(table, model, rng),
        trace=_trace(),
    )


def _persons(
    count: int, groups: tuple[str, ...], *, clusters: bool, crf: bool, rng: np.random.Generator
) -> pd.DataFrame:
    names = [f"P{number:04d}" for number in rng.choice(9000, count, replace=False) + 1000]
    first = max(1, count * 3 // 10)
    rows = rng.integers(40, 90, count)
    rows[0] = 3
    labels = [groups[0] if index < first else groups[-1] for index in range(count)]
    return pd.DataFrame(
        {
            "person": names,
            "group": labels,
            "cluster": [f"F{index // 2:03d}" if clusters else None for index in range(count)],
            "rows": rows,
            "rows_train": (rows * 0.6).astype(int),
            "rows_validation": (rows * 0.2).astype(int),
            "rows_test": rows - (rows * 0.6).astype(int) - (rows * 0.2).astype(int),
            "baseline": np.nan if crf else rng.normal(60, 10, count),
            "in_metrics": rows >= 10,
        }
    ).astype({"cluster": "str" if clusters else "object"})


def _effects(table: pd.DataFrame, parameters: list[str], effects: np.ndarray) -> pd.DataFrame:
    sd = 0.6 / np.sqrt(table["rows_train"].to_numpy() + 1) + 0.1
    blocks = []
    for column, parameter in enumerate(parameters):
        estimate = effects[:, column]
        blocks.append(
            pd.DataFrame(
                {
                    "term": "person", "level": table["person"], "parameter": parameter, "estimate": estimate, "sd": sd,
                    "low": estimate - 1.96 * sd, "high": estimate + 1.96 * sd,
                    "reliability": np.clip(1 - sd**2 / 0.3, 0, 1),
                }
            )
        )  # fmt: skip
    columns = ["term", "level", "parameter", "estimate", "sd", "low", "high", "reliability"]
    return pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame(columns=columns)


def _variances(parameters: list[str], effects: np.ndarray) -> pd.DataFrame:
    variance = effects.var(axis=0)
    frame = pd.DataFrame({"term": "person", "parameter": parameters, "variance": variance, "sd": np.sqrt(variance)})
    frame["share"] = variance / max(variance.sum(), 1e-12)
    frame["correlation"] = np.nan
    frame["at_boundary"] = variance < 1e-8
    return frame


def _transitions(table: pd.DataFrame, effects: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    size = len(STATES)
    shared = rng.normal(0, 0.4, (size, size)) + np.eye(size)
    generic = np.exp(shared) / np.exp(shared).sum(axis=1, keepdims=True)
    blocks = []
    for index, person in enumerate(table["person"]):
        score = shared + effects[index].reshape(size, size)
        own = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
        counts = rng.poisson(own * table["rows"].iloc[index] / size)
        first, second = np.divmod(np.arange(size * size), size)
        blocks.append(
            pd.DataFrame(
                {
                    "person": person, "from_state": [STATES[i] for i in first], "to_state": [STATES[i] for i in second],
                    "score": score.ravel(), "probability": own.ravel(), "expected": own.ravel() * 0.9 + 0.025,
                    "generic": generic.ravel(), "observed": counts.ravel(),
                }
            )
        )  # fmt: skip
    return pd.concat(blocks, ignore_index=True)


def _predictions(table: pd.DataFrame, model: str, rng: np.random.Generator) -> pd.DataFrame:
    blocks, start = [], 0
    for person, rows, train, validation in table[["person", "rows", "rows_train", "rows_validation"]].itertuples(
        index=False
    ):
        split = ["train"] * train + ["validation"] * validation + ["test"] * (rows - train - validation)
        block = pd.DataFrame({"row": np.arange(start, start + rows), "person": person, "split": split})
        block["sequence"], block["time"] = np.arange(rows) // 7, np.arange(rows, dtype=float)
        if model.endswith("crf"):
            for column in ("truth", "prediction", "prediction_population"):
                block[column] = rng.choice(STATES, rows)
            shares = rng.dirichlet(np.ones(len(STATES)), rows)
            for index, state in enumerate(STATES):
                block[f"probability_{state}"] = shares[:, index]
        else:
            block["truth"] = rng.normal(60, 12, rows)
            block["prediction"], block["prediction_population"] = block["truth"] + rng.normal(0, 8, rows), 60.0
        block["person_known"] = True
        blocks.append(block)
        start += rows
    return pd.concat(blocks, ignore_index=True)


def _metrics(table: pd.DataFrame, model: str, rng: np.random.Generator) -> pd.DataFrame:
    metric = "krippendorff_alpha" if model.endswith("crf") else "pearson"
    rows = []
    levels = ("person", "population", "previous state") if model.endswith("crf") else ("person", "population")
    for level, value in zip(levels, (0.42, 0.35, 0.38), strict=False):
        for person, n in table[["person", "rows_test"]].itertuples(index=False):
            shown = value + rng.normal(0, 0.1) if n >= 3 else np.nan
            rows.append(("person", person, "test", level, metric, shown, n, 1, 0))
        rows.append(("pooled", None, "test", level, metric, value, int(table["rows_test"].sum()), len(table), 0))
        rows.append(
            ("mean", None, "test", level, metric, value - 0.03, int(table["rows_test"].sum()), len(table) - 1, 1)
        )
    return pd.DataFrame(
        rows, columns=["scope", "person", "split", "level", "metric", "value", "rows", "persons", "excluded"]
    )


def _trace() -> pd.DataFrame:
    epoch = np.arange(1, 41)
    loss = 0.9 * np.exp(-epoch / 12) + 0.6
    return pd.DataFrame(
        {
            "epoch": epoch, "objective": 1000 * loss, "loss": loss, "penalty": 0.1, "sigma2": 1.0,
            "variance_mean": 0.2, "validation": 0.4 - 0.3 * np.exp(-epoch / 10),
        }
    )  # fmt: skip


class ExampleRun:
    """Stands in for a saved run where only its tables and its manifest matter."""

    def __init__(self, frames: Frames, *, model: str = "nme-crf", group_labels: dict[str, str] | None = None) -> None:
        self.frames, self.model, self.name, self.states = frames, model, f"{model}-example", STATES
        self.path = Path("no folder of its own")
        self.manifest = example_manifest(frames, model=model, group_labels=group_labels)
        self.status = self.manifest["status"]["sentence"]

    def __getattr__(self, name: str):
        if name not in Frames.__annotations__:
            raise AttributeError(name)
        return lambda: getattr(self.frames, name)


def example_manifest(frames: Frames, *, model: str, group_labels: dict[str, str] | None = None) -> dict:
    crf = model.endswith("crf")
    families = frames.persons["cluster"].notna().any()
    rows = int(frames.persons["rows"].sum())
    return {
        "schema_version": 1, "name": f"{model}-example", "model": model, "task": "sequence" if crf else "regression",
        "config": {"hidden": [10, 5], "epochs": 40}, "effects": "last+T" if crf else "last",
        "target": "state" if crf else "happy",
        "study": {
            "name": "example", "title": "Example study", "target": "state" if crf else "happy",
            "group_name": "depressed",
            "group_labels": group_labels or {}, "cluster_name": "family" if families else None,
            "states": list(STATES) if crf else [], "unit": "prompt",
        },
        "data": {"hash": "0" * 64, "rows": rows, "persons": len(frames.persons), "features": ["a", "b"]},
        "exclusions": [{"reason": "fewer than ten rows, kept out of the metrics", "persons": 1, "rows": 3}],
        "split": {"name": "within-person-time", "rows": {"train": 1, "validation": 1, "test": 1}},
        "seed": 1, "streams": {}, "versions": {"numpy": "2.4.6"},
        "device": "cpu", "threads": 2, "started": "2025-01-01T10:00:00", "finished": "2025-01-01T10:01:00",
        "status": {
            "code": "converged", "sentence": "The validation metric settled after 40 epochs.", "converged": True
        },
        "resume_count": 0, "warnings": [], "files": {},
    }  # fmt: skip


def write_example(
    folder: Path, *, model: str = "nme-crf", group_labels: dict[str, str] | None = None, **options
) -> Path:
    """A run folder as a fit would leave it, without the weights."""
    frames = example_frames(model=model, **options)
    manifest = example_manifest(frames, model=model, group_labels=group_labels)
    manifest["name"] = folder.name
    folder.mkdir(parents=True)
    for name in Frames.__annotations__:
        table = getattr(frames, name)
        if len(table.columns):
            table.to_parquet(folder / f"{name}.parquet", index=False)
            manifest["files"][f"{name}.parquet"] = hashlib.sha256((folder / f"{name}.parquet").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
