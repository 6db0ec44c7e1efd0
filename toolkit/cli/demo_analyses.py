"""The analyses of the demonstration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analyses import base_rate_test, bias_baseline, compare_transitions, hsic_test, paired_bootstrap
from analyses.report.snippets import keep_analysis
from toolkit.cli.analyses import bias_by_person, grouped_matrices
from toolkit.runs.folder import SavedRun
from toolkit.runs.kept import Recipe

VARIANTS = ("absolute", "person_centred")
MODELS = {"generic-crf": "Generic-CRF", "nme-crf": "NME-CRF"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Numbers of permutations and resamples."""

    permutations: int = 9_999
    resamples: int = 10_000

    @classmethod
    def quick(cls) -> Effort:
        """Enough to see that everything runs."""
        return cls(permutations=199, resamples=999)


def analyse(runs: Mapping[str, SavedRun], *, seed: int, effort: Effort, step: Callable[[str], None]) -> dict[str, Any]:
    """All analyses of the demonstration, by name; each is also kept in the folder of the run it belongs to.

    Every analysis has a stream of random numbers of its own, so that none changes when another is left out.
    """
    results: dict[str, Any] = {}
    for variant in VARIANTS:
        generic, personal = runs[f"generic-crf-{variant}"], runs[f"nme-crf-{variant}"]
        results |= _groups(personal, variant, seed, effort)
        results |= _agreement(generic, personal, variant, seed, effort)
        step(f"Analysed {variant.replace('_', '-')} states")
    joined = bias_by_person(runs["nme-mlp"])
    results["baseline"] = bias_baseline(
        joined["estimate"].to_numpy(),
        joined["baseline"].to_numpy(),
        resamples=effort.resamples,
        rng=_stream(seed, "baseline"),
    )
    asked = {
        "parameter": str(joined.attrs["parameter"]),
        "resamples": effort.resamples,
        "seed": seed,
        "stream": "baseline",
    }
    keep_analysis(runs["nme-mlp"], "baseline", results["baseline"], Recipe(command="bias-baseline", options=asked))
    return results


def _groups(run: SavedRun, variant: str, seed: int, effort: Effort) -> dict[str, Any]:
    """Group comparisons of one variant: base rates, transitions of the model and as observed, intervals."""
    found: dict[str, Any] = {}
    for name, value in (("model", "score"), ("observed", "observed")):
        _, matrices, group = grouped_matrices(run, value)
        found[f"hsic_{name}"] = hsic_test(
            matrices, group, permutations=effort.permutations, rng=_stream(seed, f"hsic {name} {variant}")
        )
    _, matrices, group = grouped_matrices(run, "probability")
    labels = run.manifest["study"]["group_labels"]
    found["differences"] = compare_transitions(
        matrices,
        group == "1",
        states=run.states,
        group_names=(labels["1"], labels["0"]),
        resamples=effort.resamples,
        rng=_stream(seed, f"differences {variant}"),
    )
    prompts = run.predictions().merge(run.persons()[["person", "group"]], on="person")
    found["base_rates"] = base_rate_test(
        prompts["truth"].to_numpy(dtype=object),
        prompts["group"].map(labels).to_numpy(dtype=object),
        person=prompts["person"].to_numpy(dtype=object),
        states_order=run.states,
        permutations=effort.permutations,
        rng=_stream(seed, f"base rates {variant}"),
    )
    for name, recipe in _recipes(run, variant, seed, effort).items():
        keep_analysis(run, name.replace("_", "-"), found[name], recipe)
    return {f"{name}_{variant}": result for name, result in found.items()}


def _recipes(run: SavedRun, variant: str, seed: int, effort: Effort) -> dict[str, Recipe]:
    """What the group comparisons are made with, in the words of `analyses.report.snippet_parts`."""
    labels = run.manifest["study"]["group_labels"]
    alone = {"unit": "person", "unit_name": "persons", "seed": seed}
    hsic = {
        f"hsic_{name}": Recipe(
            command="hsic",
            options={"value": value, "unit": "person", "permutations": effort.permutations, "seed": seed}
            | {"stream": f"hsic {name} {variant}"},
        )
        for name, value in (("model", "score"), ("observed", "observed"))
    }
    pair = {"value": "probability", "groups": ["1", "0"], "group_names": [labels["1"], labels["0"]]}
    rates = {"split": None, "permutations": effort.permutations, "level": 0.95, "stream": f"base rates {variant}"}
    return hsic | {
        "differences": Recipe(
            command="differences",
            options={**alone, **pair, "resamples": effort.resamples, "stream": f"differences {variant}"},
        ),
        "base_rates": Recipe(command="base-rates", options={**alone, **rates}),
    }


def _agreement(generic: SavedRun, personal: SavedRun, variant: str, seed: int, effort: Effort) -> dict[str, Any]:
    """Krippendorff's alpha on the test rows: forecasts, the previous state, and whole-day decoding in hindsight."""
    parts = [(MODELS["generic-crf"], generic, "forecast"), (MODELS["nme-crf"], personal, "forecast")]
    hindsight = [(name, run, "whole sequence") for name, run, _ in parts]
    gain = paired_bootstrap(
        _alpha_per_person(personal).to_numpy(),
        _alpha_per_person(generic).to_numpy(),
        resamples=effort.resamples,
        rng=_stream(seed, f"alpha gain {variant}"),
    )
    return {
        f"alpha_{variant}": pd.DataFrame(
            [_alpha(*part) for part in [*parts, ("Previous state", personal, "previous state")]]
        ),
        f"alpha_hindsight_{variant}": pd.DataFrame([_alpha(*part) for part in hindsight]),
        f"alpha_gain_{variant}": gain,
    }


def _alpha(name: str, run: SavedRun, level: str) -> dict[str, Any]:
    """Pooled and mean alpha of one way to predict."""
    rows = _test_alpha(run, level).set_index("scope")
    scopes: dict[str, dict[str, Any]] = rows.to_dict(orient="index")  # pyright: ignore[reportAssignmentType]
    return {
        "model": name,
        "pooled": float(scopes["pooled"]["value"]),
        "mean_per_person": float(scopes["mean"]["value"]),
        "persons": int(scopes["mean"]["persons"]),
        "excluded": int(scopes["mean"]["excluded"]),
    }


def _test_alpha(run: SavedRun, level: str, *, single: bool = False) -> pd.DataFrame:
    """Rows of the metrics table that hold alpha on the test rows."""
    metrics = run.metrics()
    chosen = (metrics["metric"] == "krippendorff_alpha") & (metrics["split"] == "test") & (metrics["level"] == level)
    return metrics[chosen & ((metrics["scope"] == "person") == single)]


def _alpha_per_person(run: SavedRun) -> pd.Series:
    """Forecast alpha of each person, by pseudonym."""
    return _test_alpha(run, "forecast", single=True).set_index("person")["value"].sort_index()


def _stream(seed: int, name: str) -> np.random.Generator:
    """A generator of its own for a named analysis."""
    return np.random.default_rng([seed, *name.encode()])
