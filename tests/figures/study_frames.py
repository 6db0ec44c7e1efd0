"""Small results and frames for the figures of models, studies and single cases."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from analyses.covariate_slopes import transition_slopes
from analyses.drivers import cell_drivers
from analyses.learning_curve import learning_curve
from analyses.model_comparison import compare_models
from analyses.multiverse import specification_curve
from analyses.power import power_curve
from analyses.stability import stability

STATES = ("positive", "aggressive", "dysphoric", "other")
MODELS = ("Generic-CRF", "Specific-CRF", "NME-CRF")
CELLS = [f"{kind}[{a},{b}]" for kind in ("probability", "expected") for a in STATES for b in STATES]


def models(names: tuple[str, ...] = MODELS, persons: int = 30):
    """The first is worst, the last best, both clearly; lower is better for the second metric."""
    rng = np.random.default_rng(1)
    base = rng.normal(0.4, 0.1, persons)
    values = np.stack([base + 0.05 * k + rng.normal(0, 0.02, persons) for k in range(len(names))], axis=1)
    scores = {"krippendorff_alpha": values, "rmse": 1 - values}
    return compare_models(scores, names, resamples=199, rng=rng)


def learning():
    rng = np.random.default_rng(2)
    rows = []
    for share in (1.0, 0.5, 0.25):
        for k, model in enumerate(MODELS[:2]):
            values = 0.3 + 0.1 * k + 0.1 * share + rng.normal(0, 0.05, 20)
            rows += [
                {"model": model, "share": share, "person": p, "metric": "ccc", "value": v} for p, v in enumerate(values)
            ]
    return learning_curve(pd.DataFrame(rows), "ccc", resamples=199, rng=rng)


def choices():
    rng = np.random.default_rng(3)
    group = np.repeat(["a", "b"], 10)
    matrices = rng.dirichlet(np.ones(3), (20, 3))
    given = {("absolute", "probability"): matrices, ("centred", "probability"): matrices[::-1]}
    return specification_curve(given, group, cluster=np.arange(20) // 2, permutations=99, rng=rng)


def power():
    rng = np.random.default_rng(4)
    scores = np.log(np.array([[0.6, 0.4], [0.3, 0.7]]))
    return power_curve(
        scores, np.full((2, 2), 0.1), cell=(0, 1), difference=0.2, clusters=[5, 20], transitions=[20, 60],
        simulations=99, permutations=99, rng=rng, states=STATES[:2],
    )  # fmt: skip


def stable(parameters: list[str] | None = None):
    """Every second parameter agrees between fits, the others do not."""
    rng = np.random.default_rng(5)
    names = ["layers.1.bias[positive]", *CELLS] if parameters is None else parameters
    true = rng.normal(size=(1, 12, len(names)))
    noise = np.where(np.arange(len(names)) % 2 == 0, 0.05, 3.0)
    runs = true + noise * rng.normal(size=(3, 12, len(names)))
    dropped = {0.25: true + noise * rng.normal(size=(4, 12, len(names)))}
    return stability(names, runs=runs, full=true[0], dropped=dropped, rng=rng)


def slopes():
    rng = np.random.default_rng(6)
    age = rng.normal(40, 10, 60)
    matrices = rng.dirichlet(np.full(4, 4.0), (60, 4))
    matrices[:, 0, 1] += 0.01 * (age - 40)
    matrices = np.clip(matrices, 0.01, None)
    matrices /= matrices.sum(axis=2, keepdims=True)
    return transition_slopes(matrices, age, rng=rng, states=STATES, covariate_name="age", per=10, resamples=199)


def drivers():
    rng = np.random.default_rng(7)
    values = np.append(rng.normal(0.1, 0.02, 29), 0.6)
    return cell_drivers(
        values, np.arange(30) >= 15, persons=[f"P{k:02d}" for k in range(30)], cell=("positive", "dysphoric"),
        group_names=("ill", "well"),
    )  # fmt: skip


def plausible() -> pd.DataFrame:
    """A kept table: wider and further from zero with the persons' uncertainty, one cell that cannot vary."""
    rng = np.random.default_rng(11)
    table = pd.DataFrame([(a, b) for a in STATES for b in STATES], columns=["from_state", "to_state"])
    difference = rng.normal(0, 0.01, 16)
    difference[1] = 0.05
    for prefix, factor, reach in (("plug_in_", 1, 0.02), ("", 2, 0.15)):
        table[f"{prefix}difference"] = factor * difference
        table[f"{prefix}low"], table[f"{prefix}high"] = factor * difference - reach, factor * difference + reach
        table[f"{prefix}pvalue"] = np.where(np.arange(16) == 5, np.nan, 0.3)
    return table.assign(missing=0.8)


def adaptation() -> pd.DataFrame:
    rows = [
        {"model": model, "target": target, "metric": metric, "share": share, "value": share + k, "low": share + k - 0.1,
         "high": share + k + 0.1, "persons": 9}
        for target in ("valence", "arousal")
        for metric in ("ccc", "rmse")
        for k, model in enumerate(("PEN", "shared network"))
        for share in (0.5, 0.0, 0.1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def gates(persons: int = 6, experts: int = 6) -> pd.DataFrame:
    """Every person's main expert is another one, in a shuffled order."""
    rng = np.random.default_rng(8)
    own = rng.permutation(experts)
    rows = []
    for p in range(persons):
        weight = np.full(experts, 0.1 / max(experts - 1, 1))
        weight[own[p % experts]] = 0.9
        rows += [{"split": "source", "person": f"P{p}", "expert": f"E{e}", "weight": weight[e]} for e in range(experts)]
    return pd.DataFrame(rows)


def ratings() -> pd.DataFrame:
    rng = np.random.default_rng(9)
    blocks = [
        pd.DataFrame({"person": f"{part}{p}", "part": part, "x": rng.normal(mean, 1, 40), "y": rng.normal(mean, 1, 40)})
        for part, mean in (("source", 0.0), ("target", 2.0))
        for p in range(5)
    ]
    return pd.concat(blocks, ignore_index=True)


def effects(parameters: tuple[str, ...] = ("layers.2.bias", "transitions[a,b]"), levels: int = 25) -> pd.DataFrame:
    rng = np.random.default_rng(10)
    blocks = []
    for k, name in enumerate(parameters):
        estimate = rng.normal(0, 1 + k, levels)
        names = [f"P{n:02d}" for n in range(levels)]
        blocks.append(
            pd.DataFrame({"term": "person", "level": names, "parameter": name, "estimate": estimate,
                          "low": estimate - 0.5, "high": estimate + 0.5})
        )  # fmt: skip
    return pd.concat(blocks, ignore_index=True)


def truth() -> pd.DataFrame:
    found = effects()
    return found.assign(true=found["estimate"] + 0.1)


def scores() -> pd.DataFrame:
    return pd.DataFrame(
        {"person": ["A", "B", "C", "D"], "first": [0.5, 0.2, 0.4, np.nan], "second": [0.3, 0.6, 0.4, 0.1]}
    )


RESULTS = SimpleNamespace(
    models=models, learning=learning, choices=choices, power=power, stable=stable, slopes=slopes, drivers=drivers
)
