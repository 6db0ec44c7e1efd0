"""Everything about bias against baseline for one run: three correlations, two baselines, slope, permuted identity."""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses import wording
from analyses.baseline import BaselineResult, bias_baseline
from analyses.baseline_identity import IdentityResult, permuted_identity
from analyses.baseline_levels import ROWS_IN_WORDS, are_shares, bias_parameters, scatter_frames
from analyses.baseline_slope import SlopeResult, corrected_slope
from analyses.correlation import KINDS
from analyses.grouping_factors import beside_persons, cluster_nouns
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.runs.folder import SavedRun

if TYPE_CHECKING:
    import pandas as pd

MECHANICAL = (
    "A baseline from the training rows shares its rows with the bias, so that part of that correlation is arithmetic; "
    "the one from held-out rows is free of that."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BaselineView:
    """One person effect against one baseline (training or held-out rows); of_state: the share of a state."""

    parameter: str
    of_state: bool
    target: str
    rows: str
    correlations: dict[str, BaselineResult]
    slope: SlopeResult | None
    identity: IdentityResult


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BaselineReport:
    """Outcome of `baseline_report`: views of every parameter with training rows first, and sentences for the reader."""

    views: tuple[BaselineView, ...]
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per parameter, baseline and quantity: estimate, low, high, p, persons and units."""
        import pandas as pd

        return pd.DataFrame([row for view in self.views for row in _rows(view)])

    def summary(self) -> dict[str, Any]:
        """Pearson's correlation of the first view as in `BaselineResult.summary`, and the table of everything."""
        first = self.views[0].correlations["pearson"].summary()
        table = self.to_frame()
        return first | {"table": table.to_dict(orient="records"), "notes": list(self.notes)}

    def text(self) -> str:
        """Plain sentences, parameter by parameter."""
        parts = [_view_text(view) for view in self.views]
        both = any(view.rows == "held-out" for view in self.views)
        return "\n".join([*parts, _method(self.views[0]), *([MECHANICAL] if both else []), *self.notes])

    def apa(self) -> str:
        """Sentences for the results section: Pearson and slope, training and held-out rows."""
        return " ".join(_view_apa(view) for view in self.views)


def baseline_report(
    run: SavedRun,
    *,
    parameters: Sequence[str] | None = None,
    unit: str = "person",
    resamples: int = 10_000,
    permutations: int = 9_999,
    level: float = 0.95,
    rng: np.random.Generator,
) -> BaselineReport:
    """Bias against baseline from a run folder, with every control there is.

    For each person effect (the last bias, or the bias of every state): Pearson, Spearman and percentage bend
    correlations, the slope corrected for shrinkage (for held-out rows also for error in the baseline) and the
    permuted-identity control, with the baseline from training rows and, where there are any, from held-out rows.

    Args:
        run: a finished run of a personalised model.
        parameters: person effects to look at.
        unit: "person", or "cluster" to keep the persons of a cluster together.
        resamples: of the bootstrap, at least 99.
        permutations: of the control, at least 99.
        level: of the intervals.
        rng: source of resamples and permutations.

    Raises:
        ConfigError: E125 too few draws, E302 an unknown parameter or unit.
        DataError: E126 persons without a cluster, and as `bias_baseline`.
    """
    if unit not in ("person", "cluster"):
        raise ConfigError("the unit is 'person' or 'cluster'", code="E302", column="unit")
    chosen = list(bias_parameters(run, parameters))
    present = set(run.predictions()["split"])
    sources = ["train", *(["held-out"] if present & {"validation", "test"} else [])]
    options = {"resamples": resamples, "permutations": permutations, "level": level}
    views: list[BaselineView] = []
    notes: list[str] = []
    for rows in sources:
        for parameter, frame in scatter_frames(run, rows=rows, parameters=chosen).items():
            with warnings.catch_warnings():
                if views:
                    # Said once is enough.
                    warnings.simplefilter("ignore", ToolkitWarning)
                try:
                    views.append(
                        _view(frame, rows, _units(frame, unit, run), of_state=are_shares(run), rng=rng, **options)
                    )
                except DataError as error:
                    if isinstance(error, ConfigError) or error.code != "E115" or len(chosen) == 1:
                        raise
                    notes.append(f"{parameter} ({ROWS_IN_WORDS[rows]}): {error.sentence}")
    if not views:
        raise DataError(
            "no person effect of this run varies between persons",
            code="E115",
            column="parameter",
            remedy="see the model's status",
        )
    said = [note for view in views for note in _notes(view)]
    others = beside_persons(run.manifest)
    if others:
        said.append(
            f"Biases are the persons’ own, beside the effects of {others}: what persons share with these is in their "
            "baseline and not in their bias."
        )
    return BaselineReport(views=tuple(views), notes=tuple(dict.fromkeys([*notes, *said])))


def _view(
    frame: pd.DataFrame,
    rows: str,
    units: tuple[np.ndarray | None, str],
    *,
    of_state: bool,
    resamples: int,
    permutations: int,
    level: float,
    rng: np.random.Generator,
) -> BaselineView:
    """All numbers of one parameter and one baseline."""
    bias, baseline = frame["bias"].to_numpy(dtype=float), frame["baseline"].to_numpy(dtype=float)
    who = {"unit": units[0], "unit_name": units[1]}
    correlations = {}
    for kind in KINDS:
        with warnings.catch_warnings():
            if correlations:
                warnings.simplefilter("ignore", ToolkitWarning)
            correlations[kind] = bias_baseline(
                bias, baseline, correlation=kind, resamples=resamples, level=level, rng=rng, **who
            )
    return BaselineView(
        parameter=str(frame["parameter"].iloc[0]),
        of_state=of_state,
        target=str(frame["target"].iloc[0]),
        rows=rows,
        correlations=correlations,
        slope=_slope(frame, rows, level, who),
        identity=permuted_identity(bias, baseline, permutations=permutations, rng=rng, **who),
    )


def _slope(frame: pd.DataFrame, rows: str, level: float, who: dict[str, Any]) -> SlopeResult | None:
    """The corrected slope; None when the reliabilities or the baseline's errors leave nothing to regress."""
    reliability = np.clip(frame["reliability"].to_numpy(dtype=float), 0, 1)
    error = frame["baseline_error"].to_numpy(dtype=float) if rows == "held-out" else None
    error = None if error is None or not np.isfinite(error).all() else error
    try:
        return corrected_slope(
            frame["bias"].to_numpy(dtype=float),
            frame["baseline"].to_numpy(dtype=float),
            reliability=reliability,
            baseline_error=error,
            level=level,
            **who,
        )
    except DataError as problem:
        if problem.code in ("E115", "E111"):
            return None
        raise


def _units(frame: pd.DataFrame, unit: str, run: SavedRun) -> tuple[np.ndarray | None, str]:
    """Label of each person's unit, and what units are called."""
    if unit == "person":
        return None, "persons"
    if frame["cluster"].isna().any():
        raise DataError(
            "not every person has a cluster",
            code="E126",
            column="cluster",
            remedy="use --unit person, or name a cluster column in study.toml",
        )
    return frame["cluster"].to_numpy(dtype=object), cluster_nouns(run.manifest)


def _rows(view: BaselineView) -> list[dict[str, Any]]:
    """The table's rows of one view."""
    where = {"parameter": view.parameter, "target": view.target, "rows": view.rows}
    found = [
        where | {"quantity": kind, "estimate": result.r, **_numbers(result)}
        for kind, result in view.correlations.items()
    ]
    if view.slope is not None:
        numbers = _numbers(view.slope)
        found.append(where | {"quantity": "corrected slope", "estimate": view.slope.slope, **numbers})
        nothing = dict.fromkeys(("low", "high", "pvalue"), float("nan"))
        shrunken = numbers | nothing
        found.append(
            where | {"quantity": "slope of shrunken estimates", "estimate": view.slope.slope_shrunken} | shrunken
        )
    found.append(where | {"quantity": "permuted identity", "estimate": view.identity.r, **_numbers(view.identity)})
    return found


def _numbers(result: BaselineResult | SlopeResult | IdentityResult) -> dict[str, Any]:
    return {name: getattr(result, name) for name in ("low", "high", "pvalue", "n", "n_units")}


def _view_text(view: BaselineView) -> str:
    """Correlations, slope and control of one view, the way they were computed left to the report's last lines."""
    pearson, found = view.correlations["pearson"], view.identity
    clear = pearson.low > 0 or pearson.high < 0
    direction = f"were {'positively' if pearson.r > 0 else 'negatively'} correlated"
    slope = "" if view.slope is None else f" {_slope_text(view.slope)}"
    verdict = direction if clear else "were not clearly correlated"
    return (
        f"The person effect {view.parameter} and {_level(view)} {verdict}, {pearson.statistic()}; by ranks "
        f"{_short(view.correlations['spearman'])}; with extreme persons counting little "
        f"{_short(view.correlations['bend'])}.{slope} With baselines dealt to other {found.unit_name} at random the "
        f"correlation lies between {wording.bounded(found.low)} and {wording.bounded(found.high)}, "
        f"{wording.p_text(found.pvalue)}."
    )


def _slope_text(slope: SlopeResult) -> str:
    """Corrected beside uncorrected slope."""
    return (
        f"Per unit of baseline the effect rises by {slope.number(slope.slope)}, {slope.interval()}, corrected for the "
        f"pull towards the average ({slope.number(slope.slope_shrunken)} without)."
    )


def _method(view: BaselineView) -> str:
    """How the intervals were made."""
    pearson, bend = view.correlations["pearson"], view.correlations["bend"]
    resampled = (
        f", for the correlation in which extreme persons count little (percentage bend) from "
        f"{wording.thousands(bend.resamples)} resamples of {bend.unit_name}"
    )
    return (
        f"Intervals come from leaving out {pearson.unit_name} one at a time"
        f"{resampled if bend.interval == 'percentile' else ''}; the random deals are "
        f"{wording.thousands(view.identity.permutations)}."
    )


def _view_apa(view: BaselineView) -> str:
    first = view.correlations["pearson"].apa(f"The person effect {view.parameter}", _level(view))
    return first if view.slope is None else f"{first} {view.slope.apa()}"


def _level(view: BaselineView) -> str:
    """What the baseline is, in words."""
    what = f"the share of {view.target} (in %)" if view.of_state else f"mean {view.target}"
    return f"{what} in the {ROWS_IN_WORDS[view.rows]}"


def _short(result: BaselineResult) -> str:
    ends = wording.ci_text(wording.bounded(result.low), wording.bounded(result.high), result.level)
    return f"{wording.bounded(result.r)}, {ends}"


def _notes(view: BaselineView) -> list[str]:
    found = [*view.correlations["pearson"].notes, *view.correlations["bend"].notes, *view.identity.notes]
    if view.slope is None:
        found.append(
            f"{view.parameter}: no corrected slope ({ROWS_IN_WORDS[view.rows]}), because the effects have no "
            "reliability or the baseline is little more than error."
        )
        return found
    return [*found, *view.slope.notes]
