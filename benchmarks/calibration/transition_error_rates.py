"""Type-I error and power of tests of single transitions: ``python -m benchmarks.calibration.transition_error_rates``.

Persons have four-state chains of their own (normal scores, SD .5) and are observed for 60 transitions; what is compared
are their observed probabilities. Persons are independent or come in families of one to four whose scores correlate at
0, .4 or .8; groups are equal or a quarter against three quarters; onset-coded chains never follow a state by itself.
Whole families are resampled and permuted. Rates of single tests are means over cells; "any" is the share of simulations
in which at least one cell is found (familywise error), for corrections over cells and over three pairs of groups.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from analyses.covariate_slopes import transition_slopes
from analyses.matrices import observed_transitions
from analyses.pairwise_transitions import compare_groups
from analyses.simulation import softmax, transition_counts
from analyses.transitions import compare_transitions
from benchmarks.calibration.keeping import in_bands, keep
from toolkit.errors import ToolkitWarning

SEED = 20_247
SIMULATIONS, POWER_SIMULATIONS, DRAWS, TRANSITIONS = 2000, 400, 399, 60
SCORES = np.log(np.array([[0.4, 0.3, 0.2, 0.1], [0.2, 0.4, 0.2, 0.2], [0.1, 0.3, 0.4, 0.2], [0.2, 0.2, 0.2, 0.4]]))
SPREAD = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is simulated: units, share of the first group, correlation in families (None: persons), coding, effect."""

    units: int = 40
    share: float = 0.5
    alike: float | None = None
    onset: bool = False
    shift: float = 0.0

    def name(self) -> str:
        """In words."""
        who = f"{self.units} persons" if self.alike is None else f"{self.units} families alike at {self.alike}"
        parts = [who, "equal groups" if self.share == 0.5 else f"{self.share:.0%} in the smaller group"]
        parts += ["onset coded"] if self.onset else []
        return ", ".join([*parts, f"shift {self.shift}"] if self.shift else parts)


def study(design: Design, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Observed probabilities, group, a covariate of the unit, and the families."""
    units, alike = design.units, design.alike
    sizes = np.ones(units, dtype=int) if alike is None else 1 + rng.permutation(np.arange(units) % 4)
    family, common = np.repeat(np.arange(units), sizes), alike or 0.0
    effects = np.sqrt(common) * rng.standard_normal((units, 4, 4))[family]
    effects = SPREAD * (effects + np.sqrt(1 - common) * rng.standard_normal((family.size, 4, 4)))
    group = (np.arange(units) < round(design.share * units))[family]
    scores = SCORES + effects
    scores[group, 0, 1] += design.shift
    if design.onset:
        scores[:, range(4), range(4)] = -np.inf
    counts = transition_counts(softmax(scores), TRANSITIONS, rng).astype(np.float64)
    seen = observed_transitions(counts, smoothing=0.0)
    return seen, group, rng.standard_normal(units)[family], None if alike is None else family


def rejections(design: Design, simulations: int, seed: int) -> dict[str, float]:
    """Share of cells, or of simulations, with p at most .05 or an interval that leaves out zero."""
    found: dict[str, list[float]] = {}
    for stream in np.random.SeedSequence(seed).spawn(simulations):
        rng = np.random.default_rng(stream)
        t, group, covariate, family = study(design, rng)
        pair = compare_transitions(t, group, unit=family, resamples=DRAWS, permutations=DRAWS, rng=rng)
        slope = transition_slopes(t, covariate, unit=family, resamples=DRAWS, rng=rng)
        third = np.where(np.arange(len(t)) % 2, group.astype(int), 2) if family is None else group.astype(int)
        one = {
            "bootstrap": _cells(pair.pvalue, design),
            "permutation": _cells(pair.pvalue_permutation, design),
            "slope": _cells(slope.pvalue, design) if design.shift == 0 else float("nan"),
            "any, simultaneous intervals": float(pair.flagged()["cells_simultaneous"].any()),
            "any, permutation max-T": float(np.nanmin(pair.pvalue_permutation_max) <= 0.05),
        }
        if family is None and design.shift == 0:
            three = compare_groups(t, third, resamples=DRAWS, rng=rng)
            one["any, three groups in pairs"] = float(
                any(two.flagged()["cells_simultaneous"].any() for two in three.comparisons)
            )
        for name, rate in one.items():
            found.setdefault(name, []).append(rate)
    return {f"{name} error" if design.shift == 0 else name: float(np.mean(rates)) for name, rates in found.items()}


def _cells(pvalue: np.ndarray, design: Design) -> float:
    """Share of tested cells with p at most .05; with an effect, whether its cell is found."""
    if design.shift:
        return float(pvalue[0, 1] <= 0.05)
    return float(np.mean(pvalue[np.isfinite(pvalue)] <= 0.05))


ERROR_DESIGNS = (
    Design(),
    Design(units=20),
    Design(units=100),
    Design(share=0.25),
    Design(onset=True),
    Design(alike=0.0),
    Design(alike=0.4),
    Design(alike=0.8),
    Design(alike=0.4, share=0.25),
    Design(alike=0.4, onset=True),
)
POWER_DESIGNS = tuple(
    Design(units=units, alike=alike, shift=shift)
    for units in (20, 40, 80)
    for alike in (None, 0.4)
    for shift in (0.4, 0.8)
)


def measure() -> dict[str, dict[str, dict[str, float | bool]]]:
    """Error rates of every design, then power."""
    errors, power = {}, {}
    for k, design in enumerate(ERROR_DESIGNS):
        rates = {name: round(rate, 4) for name, rate in rejections(design, SIMULATIONS, SEED + k).items()}
        errors[design.name()] = in_bands(rates)
        print(design.name(), rates, flush=True)
    for k, design in enumerate(POWER_DESIGNS):
        rates = rejections(design, POWER_SIMULATIONS, SEED + 100 + k)
        power[design.name()] = {name: round(rate, 4) for name, rate in rates.items() if np.isfinite(rate)}
        print(design.name(), power[design.name()], flush=True)
    return {"type_one_error": errors, "power": power}


if __name__ == "__main__":
    warnings.simplefilter("ignore", ToolkitWarning)
    started = time.perf_counter()
    with threadpool_limits(limits=1):
        tables = measure()
    settings = {"simulations": SIMULATIONS, "power_simulations": POWER_SIMULATIONS, "draws": DRAWS, "seed": SEED}
    settings |= {"transitions": TRANSITIONS, "seconds": round(time.perf_counter() - started)}
    keep("transition_error_rates", settings, tables)
