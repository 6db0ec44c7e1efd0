"""Would the person estimates come out alike with another seed, or with fewer rows per person?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses import wording
from analyses.component_interval import METHODS
from analyses.resampling import check_draws
from analyses.run_agreement import agreement, is_flat
from analyses.run_agreement import pairwise_ranks as pairwise_ranks
from analyses.run_agreement import same_side as same_side
from toolkit.errors import ConfigError, DataError, RunFolderError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.runs.folder import SavedRun

STABLE_ICC = 0.75
STABLE_CS = 0.25
CS_CORRELATION = 0.7
CS_PROBABILITY = 0.95
MIN_PERSONS = 4
NOTE_BELOW = 40
FEW = (
    "With {count} persons, the interval of the ICC held the true value in 93 to 97 % of simulated studies if persons' "
    "values are normal or moderately skewed; where they are strongly skewed (a few persons far from all others) it "
    "held in 92 to 95 %, instead of 95 %."
)
PERCENTILE = (
    "Percentile intervals of the ICC are too short with few persons (here {count}): they held the true value in 82 % "
    "of simulated studies of 10 persons and 91 % of 38, and in less with skewed values."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StabilityResult:
    """Outcome of `stability`; arrays have one entry per parameter.

    Attributes:
        parameters: names.
        icc, icc_low, icc_high: ICC(2,1) over runs with its interval; NaN if not judged.
        rank_agreement: mean Spearman correlation of two runs. sign_agreement: share of persons (over pairs of runs)
            on the same side of the run's mean.
        cs: largest share of rows that can be dropped (case-drop); NaN without dropped fits.
        stable: judged stable. reason: why not, in words; empty where it is stable.
        curve: rows (parameter position, share dropped, mean, 5 % quantile, 95 % quantile of the correlation).
        n_persons, n_runs, n_refits, method, level: how it was computed. notes: what the reader should know.
    """

    parameters: tuple[str, ...]
    icc: np.ndarray
    icc_low: np.ndarray
    icc_high: np.ndarray
    rank_agreement: np.ndarray
    sign_agreement: np.ndarray
    cs: np.ndarray
    stable: tuple[bool, ...]
    reason: tuple[str, ...]
    curve: np.ndarray
    n_persons: int
    n_runs: int
    n_refits: int
    method: str
    level: float
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per parameter: stable, icc, icc_low, icc_high, rank_agreement, sign_agreement, cs, reason."""
        import pandas as pd

        numbers = ("icc", "icc_low", "icc_high", "rank_agreement", "sign_agreement", "cs")
        columns: dict[str, Any] = {"parameter": list(self.parameters), "stable": list(self.stable)}
        return pd.DataFrame(columns | {name: getattr(self, name) for name in numbers} | {"reason": list(self.reason)})

    def curve_frame(self) -> pd.DataFrame:
        """The case-drop curve: parameter, dropped, correlation, low, high."""
        import pandas as pd

        frame = pd.DataFrame(self.curve, columns=["parameter", "dropped", "correlation", "low", "high"])
        return frame.assign(parameter=[self.parameters[int(k)] for k in frame["parameter"]])

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        plain = ("n_persons", "n_runs", "n_refits", "method", "level")
        return {
            "n_stable": sum(self.stable),
            "parameters": self.to_frame().to_dict("records"),
            "curve": self.curve_frame().to_dict("records"),
            **{name: getattr(self, name) for name in plain},
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """How many parameters are stable, which are not, in plain words."""
        shaky = [name for name, good in zip(self.parameters, self.stable, strict=True) if not good]
        total = len(self.parameters)
        listed = ", ".join(shaky[:8]) + (f" and {len(shaky) - 8} more" if len(shaky) > 8 else "")
        verdict = f"Do not read anything into single persons' values of: {listed}." if shaky else ""
        count = total - len(shaky)
        said = f"{count} of {total} parameters came out alike when the model was fitted again ({self._how()})."
        return " ".join(part for part in (said, verdict, *self.notes) if part)

    def apa(self) -> str:
        """The same as a sentence for the results section."""
        seen = self.icc[np.isfinite(self.icc)]
        spread = (
            f"ICC(2,1) over {self.n_runs} fits from {wording.bounded(float(seen.min()))} to "
            f"{wording.bounded(float(seen.max()))}"
            if seen.size
            else ""
        )
        cs = self.cs[np.isfinite(self.cs)]
        drop = (
            f"CS coefficients from {wording.bounded(float(cs.min()))} to {wording.bounded(float(cs.max()))}"
            if cs.size
            else ""
        )
        found = "; ".join(part for part in (spread, drop) if part) or "not defined for any parameter"
        count = f"{sum(self.stable)} of {len(self.stable)}"
        return f"Stability of person parameters (N = {self.n_persons}): {found}; {count} stable."

    def _how(self) -> str:
        parts = (
            [f"{self.n_runs} fits with other seeds: ICC of at least {wording.bounded(STABLE_ICC)}"]
            if self.n_runs
            else []
        )
        if self.n_refits:
            parts.append(
                f"{self.n_refits} fits to fewer rows: CS of at least {wording.bounded(STABLE_CS)}, the share of rows "
                f"that may be missing while estimates still correlate {wording.bounded(CS_CORRELATION)} with all rows'"
            )
        return "; ".join(parts)


def stability(
    parameters: Sequence[str],
    *,
    runs: ArrayLike | None = None,
    full: ArrayLike | None = None,
    dropped: Mapping[float | int, ArrayLike] | None = None,
    method: str = "jackknife",
    resamples: int = 1_000,
    level: float = 0.95,
    rng: np.random.Generator,
    notes: Sequence[str] = (),
) -> StabilityResult:
    """Agreement of person estimates over runs (other seeds), and with fewer rows (case-drop curve).

    Per parameter, persons are the targets and runs the raters: ``ICC(2,1) = (MSR - MSE) / (MSR + (k-1) MSE +
    k (MSC - MSE) / n)``. CS coefficient: the largest share of rows that can be dropped such that, with a probability of
    at least .95, estimates correlate at least .7 with those of all rows (at that share and all smaller ones).
    Stable: ICC of at least .75 over runs and CS of at least .25, of what was computed.

    The interval of the ICC: see `analyses.run_agreement`, with its coverage.

    Args:
        parameters: names of the last axis. Only identified parameters can be compared: hidden units may swap places
            from one fit to the next (see `toolkit.runs.repeats`).
        runs: estimates, shape (runs, persons, parameters), two or more runs of the same model and data.
        full: estimates from all rows, shape (persons, parameters); needed with `dropped`.
        dropped: share of rows dropped -> estimates, shape (repeats, persons, parameters).
        method: of the ICC's interval, "jackknife" or "percentile".
        resamples: at least 99; only "percentile" draws them.
        level: of that interval.
        rng: source of the resamples.
        notes: further sentences for the reader.

    Raises:
        DataError: E111 missing or infinite estimates, E116 fewer than four persons, E124 fewer than two runs or
            nothing to compare, E127 shapes that do not fit, E302 a share outside 0 to 1.
        ConfigError: E125 too few resamples, E302 an unknown method.

    Source: Shrout & Fleiss (1979); Koo & Li (2016) for .75; Epskamp, Borsboom & Fried (2018) for case-drop and CS.
    """
    check_draws(resamples, "resamples")
    if method not in METHODS:
        raise ConfigError("unknown method", code="E302", column="method", remedy=f"Use {' or '.join(METHODS)}")
    names = tuple(parameters)
    seeds, whole, fewer = _checked(runs, full, dropped, len(names))
    persons = seeds.shape[1] if seeds is not None else len(whole) if whole is not None else 0
    alike = (
        agreement(seeds, method=method, resamples=resamples, level=level, rng=rng)
        if seeds is not None
        else np.full((5, len(names)), np.nan)
    )
    curve, cs = _case_drop(whole, fewer, len(names))
    judged = [_verdict(icc, share, seeds is not None, bool(fewer)) for icc, share in zip(alike[0], cs, strict=True)]
    return StabilityResult(
        parameters=names,
        icc=read_only(alike[0]),
        icc_low=read_only(alike[1]),
        icc_high=read_only(alike[2]),
        rank_agreement=read_only(alike[3]),
        sign_agreement=read_only(alike[4]),
        cs=read_only(cs),
        stable=tuple(not why for why in judged),
        reason=tuple(judged),
        curve=read_only(curve),
        n_persons=persons,
        n_runs=0 if seeds is None else len(seeds),
        n_refits=sum(len(values) for values in fewer.values()),
        method=method,
        level=level,
        notes=(*notes, *_notes(seeds, fewer, method)),
    )


def stable_parameters(run: SavedRun) -> dict[str, bool] | None:
    """Which parameters of a run were found stable: name -> yes or no; None when that was not looked into.

    Reads what ``nme analyze stability`` kept in the run folder. Names are those of the random effects' table (biases),
    or ``probability[from,to]`` and ``expected[from,to]`` for the transitions of a chain; parameters that are not
    listed could not be compared between fits.

    Raises:
        RunFolderError: E402 for a damaged table.
    """
    import pandas as pd

    path = run.path / "analyses" / "stability" / "table.parquet"
    if not path.is_file():
        return None
    try:
        table = pd.read_parquet(path)
        return {str(row.parameter): bool(row.stable) for row in table.itertuples()}
    except (OSError, ValueError, AttributeError):
        raise RunFolderError(
            "the table of the stability analysis is damaged", code="E402", remedy="repeat nme analyze stability"
        ) from None


def correlation_with_full(
    full: Float[np.ndarray, "persons parameters"], fewer: Float[np.ndarray, "repeats persons parameters"]
) -> Float[np.ndarray, "repeats parameters"]:
    """Pearson correlation over persons of each refit with the fit to all rows; 0 where a refit has no differences."""
    a, b = full - full.mean(axis=0), fewer - fewer.mean(axis=1, keepdims=True)
    size = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=1)
    flat = is_flat(fewer.swapaxes(1, 2)) | is_flat(full.T)
    return np.divide((a * b).sum(axis=1), size, out=np.zeros_like(size), where=~flat & (size > 0))


def cs_coefficient(correlations: Mapping[float, Float[np.ndarray, " repeats"]]) -> float:
    """Largest share dropped up to which at least 95 % of the refits correlate at least .7; 0 if none does."""
    best = 0.0
    for share in sorted(correlations):
        if np.mean(correlations[share] >= CS_CORRELATION) < CS_PROBABILITY:
            break
        best = share
    return best


def _checked(
    runs: ArrayLike | None, full: ArrayLike | None, dropped: Mapping[float | int, ArrayLike] | None, parameters: int
) -> tuple[np.ndarray | None, np.ndarray | None, dict[float, np.ndarray]]:
    """Arrays of the shapes promised; see `stability` for the errors."""
    seeds = None if runs is None else _numbers(runs, 3, parameters, "runs")
    fewer = {float(share): _numbers(values, 3, parameters, "dropped") for share, values in (dropped or {}).items()}
    whole = None if full is None else _numbers(full, 2, parameters, "full")
    if seeds is not None and len(seeds) < 2:
        raise DataError("one run alone says nothing about stability", code="E124", remedy="give two or more runs")
    if seeds is None and not fewer:
        raise DataError("there is nothing to compare", code="E124", remedy="give several runs, or fits to fewer rows")
    if any(not 0 < share < 1 for share in fewer):
        raise DataError("shares of dropped rows lie between 0 and 1", code="E302", column="dropped")
    persons = {values.shape[-2] for values in (seeds, whole, *fewer.values()) if values is not None}
    if len(persons) != 1 or (fewer and whole is None):
        raise DataError("the fits do not have the same persons, or `full` is missing", code="E127", column="persons")
    if min(persons) < MIN_PERSONS:
        raise DataError(f"{min(persons)} persons are too few; at least {MIN_PERSONS} are needed", code="E116")
    return seeds, whole, fewer


def _numbers(values: ArrayLike, dimensions: int, parameters: int, what: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != dimensions or array.shape[-1] != parameters or array.size == 0:
        raise DataError(
            f"{what} has shape {array.shape}, which does not fit {parameters} parameters", code="E127", column=what
        )
    if not np.isfinite(array).all():
        raise DataError("estimates are missing or infinite", code="E111", column=what, remedy="leave these persons out")
    return array


def _case_drop(
    full: np.ndarray | None, fewer: dict[float, np.ndarray], parameters: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the curve, and the CS coefficient of every parameter."""
    if full is None or not fewer:
        return np.empty((0, 5)), np.full(parameters, np.nan)
    seen = {share: correlation_with_full(full, values) for share, values in sorted(fewer.items())}
    rows = [
        (k, share, r[:, k].mean(), *np.quantile(r[:, k], [0.05, 0.95]))
        for k in range(parameters)
        for share, r in seen.items()
    ]
    cs = np.array([cs_coefficient({share: r[:, k] for share, r in seen.items()}) for k in range(parameters)])
    return np.array(rows), np.where(is_flat(full.T), np.nan, cs)


def _verdict(icc: float, cs: float, seeds: bool, drops: bool) -> str:
    """Why a parameter is not stable; empty if it is."""
    if (seeds and np.isnan(icc)) or (drops and np.isnan(cs)):
        return "persons do not differ in it"
    if seeds and icc < STABLE_ICC:
        return "changes with the seed"
    return "changes with fewer rows" if drops and cs < STABLE_CS else ""


def _notes(seeds: np.ndarray | None, fewer: dict[float, np.ndarray], method: str) -> tuple[str, ...]:
    notes = []
    if seeds is not None and seeds.shape[1] < NOTE_BELOW:
        notes.append((FEW if method == "jackknife" else PERCENTILE).format(count=seeds.shape[1]))
    if seeds is not None and len(seeds) < 5:
        notes.append(f"{len(seeds)} fits are few to judge agreement; five or more are better.")
    repeats = min((len(values) for values in fewer.values()), default=20)
    if repeats < 20:
        notes.append(
            f"With {repeats} fits per share of dropped rows, a CS coefficient counts a share only if every fit reaches "
            "the correlation; 100 or more fits are usual."
        )
    return tuple(notes)
