"""Coverage of the intervals of ICC and R2: ``python -m benchmarks.calibration.variance_coverage``.

Diaries with known values: a predictor with slope .7, random intercepts and random slopes (SD .3), 15 to 60 training and
5 to 20 test rows per person. Person effects are normal, skewed (gamma, skewness 1) or strongly skewed (exponential,
skewness 2). Predictions are the best linear ones from the training rows; everything is judged on the test rows.

The ICC has a closed form: variance between persons over that plus the variance within. R2, the model's ICC and the
explained share are those of the predictions made, so their true values are what the estimates converge to (100,000
persons). `true_conditional` is conditional R2 with person effects known without error: the difference to the value
converged to is what shrinkage takes away. `bias` is the mean estimate less the value converged to.

Designs: "plain"; "families" of one to three whose members correlate .5, left out as a whole; "unequal", 3 to 60 test
rows per person; "between", a predictor half of whose variance is between persons; "fitted", coefficients and
variances estimated anew in each simulation (expectation maximisation on the training rows), judged by what the
quantities of each fitted model converge to (2,000 new persons), and below it by what those of the true model do, which
intervals that take the model as given are not made for; "percentile", the plain design with percentile intervals.
Seeds differ from those the widening factors were chosen with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.variance_quantities import QUANTITIES, jackknife_ends, percentile_ends, person_sums, quantities
from benchmarks.calibration.keeping import in_bands, keep

SEED, SIMULATIONS, RESAMPLES = 20_261, 2_000, 399
PERSONS, ICCS = (10, 20, 38, 100, 195), (0.1, 0.5)
SLOPE, SLOPE_SD, NOISE, STEPS = 0.7, 0.3, 1.0, 60
KINDS = ("normal", "skewed", "strongly skewed")
SETTINGS = {"simulations": SIMULATIONS, "resamples": RESAMPLES, "seed": SEED, "nominal": 0.95}
Model = tuple[np.ndarray, tuple[float, float, float]]


@dataclass(frozen=True)
class Design:
    """What is simulated."""

    name: str
    kind: str
    icc: float

    @property
    def intercept_sd(self) -> float:
        """SD of the intercepts that gives the ICC, the predictor's part between persons counted in."""
        between = SLOPE**2 / 2 if self.name == "between" else 0.0
        within = SLOPE**2 - between + SLOPE_SD**2 * (0.5 if between else 1.0) + NOISE
        return float(np.sqrt(self.icc / (1 - self.icc) * within - between))


def effects(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Person effects of mean 0 and variance 1."""
    if kind == "normal":
        return rng.standard_normal(size)
    return (rng.gamma(4, 1, size) - 4) / 2 if kind == "skewed" else rng.exponential(1, size) - 1


def rows_of(x: np.ndarray, person: np.ndarray, effect: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Answers of rows; `effect` holds intercept and slope per person. Random slopes act on x within persons."""
    own = effect[person]
    return SLOPE * x[:, 0] + own[:, 0] + own[:, 1] * x[:, 1] + np.sqrt(NOISE) * rng.standard_normal(len(x))


def predictor(design: Design, level: np.ndarray, person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The predictor and its part within persons, of total variance 1."""
    if design.name != "between":
        return np.repeat(rng.standard_normal(person.size)[:, None], 2, axis=1)
    inner = np.sqrt(0.5) * rng.standard_normal(person.size)
    return np.column_stack([np.sqrt(0.5) * level[person] + inner, inner])


def best_linear(
    residual: np.ndarray, x: np.ndarray, person: np.ndarray, count: int, scale: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Best linear prediction of intercept and slope, shape (persons, 2), and its covariance as (11, 12, 22)."""
    variance, slope, noise = scale
    sums = [np.bincount(person, weights=w, minlength=count) for w in (None, x, x * x, residual, residual * x)]
    n, sx, sxx, sr, sxr = (s / noise for s in sums)
    a, c = n + 1 / variance, sxx + 1 / slope
    det = a * c - sx**2
    return np.column_stack([c * sr - sx * sxr, a * sxr - sx * sr]) / det[:, None], np.column_stack([c, -sx, a]) / det[
        :, None
    ]


def fitted(y: np.ndarray, x: np.ndarray, person: np.ndarray, count: int, scale: tuple[float, float, float]) -> Model:
    """Coefficients and variances by expectation maximisation, started at the true variances."""
    full = np.column_stack([np.ones_like(y), x[:, 0]])
    inside = np.column_stack([np.ones_like(y), x[:, 1]])
    beta = np.zeros(2)
    for _ in range(STEPS):
        mode, cov = best_linear(y - full @ beta, x[:, 1], person, count, scale)
        own = np.sum(inside * mode[person], axis=1)
        beta = np.linalg.lstsq(full, y - own, rcond=None)[0]
        unsure = cov[person, 0] + 2 * cov[person, 1] * x[:, 1] + cov[person, 2] * x[:, 1] ** 2
        noise = float(np.mean((y - full @ beta - own) ** 2 + unsure))
        scale = (float(np.mean(mode[:, 0] ** 2 + cov[:, 0])), float(np.mean(mode[:, 1] ** 2 + cov[:, 2])), noise)
    return beta, scale


def simulate(
    design: Design, units: int, rng: np.random.Generator, model: Model | None = None
) -> tuple[dict[str, np.ndarray], Model]:
    """Answers, predictions and labels of the test rows of one study, and the model that made the predictions."""
    sizes = rng.integers(1, 4, units) if design.name == "families" else np.ones(units, dtype=int)
    family, count = np.repeat(np.arange(units), sizes), int(sizes.sum())
    effect = np.column_stack([effects(design.kind, count, rng) for _ in range(2)])
    if design.name == "families":
        shared = np.column_stack([effects(design.kind, units, rng) for _ in range(2)])
        effect = np.sqrt(0.5) * (effect + shared[family])
    effect, level = effect * (design.intercept_sd, SLOPE_SD), rng.standard_normal(count)
    spans = (15, 61), (3, 61) if design.name == "unequal" else (5, 21)
    person, test = (np.repeat(np.arange(count), rng.integers(*span, count)) for span in spans)
    x, new = predictor(design, level, person, rng), predictor(design, level, test, rng)
    y, truth = rows_of(x, person, effect, rng), rows_of(new, test, effect, rng)
    known = np.array([0.0, SLOPE]), (design.intercept_sd**2, SLOPE_SD**2, NOISE)
    if model is None:
        model = fitted(y, x, person, count, known[1]) if design.name == "fitted" else known
    beta, scale = model
    mode, _ = best_linear(y - beta[0] - beta[1] * x[:, 0], x[:, 1], person, count, scale)
    population = beta[0] + beta[1] * new[:, 0]
    prediction = population + mode[test, 0] + mode[test, 1] * new[:, 1]
    made = {
        "truth": truth,
        "prediction": prediction,
        "population": population,
        "person": test,
        "unit": family[test],
    }
    return made, model


def unit_sums(made: dict[str, np.ndarray]) -> np.ndarray:
    """What `analyses.variance.partition_variance` adds up per unit, without its checks, which take most of its time."""
    unit = np.zeros(made["person"].max() + 1, dtype=np.int64)
    unit[made["person"]] = made["unit"]
    y, p, f, person = (made[name] for name in ("truth", "prediction", "population", "person"))
    return np.add.reduceat(person_sums(y, p, f, person, unit.size), np.flatnonzero(np.diff(unit, prepend=-1)), axis=0)


def true_values(
    design: Design, rng: np.random.Generator, model: Model | None = None, chunks: int = 20, size: int = 5_000
) -> np.ndarray:
    """What the quantities of a model converge to; the ICC of the target in closed form.

    Every study is taken together with its mirror image, so that all have the same mean and their sums can be added.
    """
    known, total = (np.array([0.0, SLOPE]), (design.intercept_sd**2, SLOPE_SD**2, NOISE)), np.zeros(14)
    for _ in range(chunks):
        made, _ = simulate(design, size, rng, model or known)
        y, p, f, person = (made[name] for name in ("truth", "prediction", "population", "person"))
        sums = person_sums(np.r_[y, -y], np.r_[p, -p], np.r_[f, -f], np.r_[person, person + person.max() + 1], 0)
        total += sums.sum(axis=0)
    found = quantities(total[None])[0]
    found[0] = design.icc
    return found


def true_conditional(design: Design) -> float:
    """Conditional R2 with person effects known without error."""
    explained = SLOPE**2 + design.intercept_sd**2 + SLOPE_SD**2 * (0.5 if design.name == "between" else 1.0)
    return explained / (explained + NOISE)


def coverage(design: Design, units: int, true: np.ndarray, seed: int, *, own: bool = True) -> dict[str, Any]:
    """Share of intervals that hold the true values, median widths, and mean estimates less the true values."""
    held, bias, width = np.zeros(5), np.zeros(5), []
    plain = design.name == "percentile"
    for stream in np.random.SeedSequence(seed).spawn(SIMULATIONS):
        rng = np.random.default_rng(stream)
        made, model = simulate(design, units, rng)
        if design.name == "fitted" and own:
            true = true_values(design, rng, model, chunks=1, size=1_000)
        sums = unit_sums(made)
        low, high = percentile_ends(sums, RESAMPLES, 0.95, rng) if plain else jackknife_ends(sums, 0.95)
        held += (low <= true) & (true <= high)
        bias += (quantities(sums.sum(axis=0)[None])[0] - true) / SIMULATIONS
        width.append(high - low)
    rates = {name: float(round(rate, 4)) for name, rate in zip(QUANTITIES, held / SIMULATIONS, strict=True)}
    width = np.median(width, axis=0).round(3)
    return in_bands(rates) | {
        "bias": dict(zip(QUANTITIES, bias.round(4).tolist(), strict=True)),
        "median_width": dict(zip(QUANTITIES, width.tolist(), strict=True)),
    }


def designs() -> list[tuple[Design, tuple[int, ...]]]:
    """Designs with the numbers of persons or families they are measured at."""
    made = [(Design("plain", kind, icc), PERSONS) for kind in KINDS for icc in ICCS]
    made += [(Design("families", kind, 0.3), PERSONS) for kind in KINDS[:2]]
    made += [(Design("unequal", kind, 0.3), PERSONS) for kind in KINDS[:2]]
    made += [(Design("between", "normal", 0.4), (10, 20, 38))]
    made += [(Design("percentile", kind, 0.5), (10, 38)) for kind in KINDS]
    return [*made, (Design("fitted", "normal", 0.3), (10, 38))]


def measure() -> list[dict[str, Any]]:
    """Every design at every number of persons."""
    rows: list[dict[str, Any]] = []
    for design, sizes in designs():
        true = true_values(design, np.random.default_rng(SEED - 1))
        known = {"design": design.name, "kind": design.kind, "true_conditional": round(true_conditional(design), 4)}
        known["true"] = dict(zip(QUANTITIES, true.round(4).tolist(), strict=True))
        for units in sizes:
            rows.append(known | {"units": units} | coverage(design, units, true, SEED + len(rows)))
            shown = {name: rows[-1][name] for name in QUANTITIES}
            print(design, units, shown, flush=True)
            keep("variance_coverage", SETTINGS, {"coverage": rows})
            if design.name == "fitted":
                again = {"design": "fitted, true coefficients", "units": units}
                rows.append(known | again | coverage(design, units, true, SEED + len(rows), own=False))
    return rows


if __name__ == "__main__":
    with threadpool_limits(limits=1):
        keep("variance_coverage", SETTINGS, {"coverage": measure()})
