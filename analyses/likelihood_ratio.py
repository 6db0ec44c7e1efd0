"""Is a mixed model better than a simpler one that is part of it? Likelihood-ratio tests of fitted runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from analyses import wording
from toolkit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.runs.folder import SavedRun

# models at the maximum of a likelihood, whose parameters can be counted
TESTED = ("lmm", "glmm")
# a larger model may fit worse by this much of the deviance, which is rounding
ROUNDING = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedModel:
    """A mixed model as it is compared.

    Attributes:
        name: of the run.
        tested: whether it is at the maximum of its likelihood (networks are not, given their weights).
        parameters: how many were estimated.
        deviance: minus twice the log-likelihood.
        aic, bic: Akaike's and the Bayesian information criterion.
        fixed: names of the fixed effects.
        varies: term and parameter of every effect that varies.
    """

    name: str
    tested: bool
    parameters: int
    deviance: float
    aic: float
    bic: float
    fixed: frozenset[str]
    varies: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LikelihoodComparison:
    """Mixed models of the same rows, from the fewest parameters to the most.

    Attributes:
        models: in that order.
        chi2, df, pvalue: of each against the model before it; NaN for the first and where no test applies.
        notes: why a test is missing, and what its p-value is.
        restricted: whether likelihoods are restricted ones.
        rows: training rows.
    """

    models: tuple[FittedModel, ...]
    chi2: tuple[float, ...]
    df: tuple[int, ...]
    pvalue: tuple[float, ...]
    notes: tuple[str, ...]
    restricted: bool
    rows: int

    def to_frame(self) -> pd.DataFrame:
        """One row a model: model, parameters, log_likelihood, deviance, aic, bic, chi2, df, pvalue, note."""
        import pandas as pd

        return pd.DataFrame(
            {
                "model": [own.name for own in self.models],
                "parameters": [own.parameters for own in self.models],
                "log_likelihood": [-0.5 * own.deviance for own in self.models],
                "deviance": [own.deviance for own in self.models],
                "aic": [own.aic for own in self.models],
                "bic": [own.bic for own in self.models],
                "chi2": list(self.chi2),
                "df": list(self.df),
                "pvalue": list(self.pvalue),
                "note": list(self.notes),
            }
        )

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        found = self.to_frame().astype(object)
        records = found.where(found.notna(), None).to_dict("records")
        return {"models": records, "restricted": self.restricted, "rows": self.rows}

    def text(self) -> str:
        """One sentence a pair of models."""
        best = min(self.models, key=lambda own: own.aic)
        said = [self._sentence(place) for place in range(1, len(self.models))]
        return " ".join([*said, f"{best.name} has the smallest AIC, {wording.number(best.aic, 1)}."])

    def apa(self) -> str:
        """The tests as a results section has them."""
        said = [
            f"{self.models[place].name} against {self.models[place - 1].name}: χ²({self.df[place]}) = "
            f"{wording.number(self.chi2[place])}, {wording.p_text(self.pvalue[place])}"
            for place in range(1, len(self.models))
            if not math.isnan(self.pvalue[place])
        ]
        return f"{'; '.join(said)} (N = {wording.thousands(self.rows)} rows)." if said else "No test applied."

    def _sentence(self, place: int) -> str:
        larger, smaller = self.models[place].name, self.models[place - 1].name
        if math.isnan(self.pvalue[place]):
            return f"{larger} is not tested against {smaller}: {self.notes[place]}."
        verb = "fits better than" if self.pvalue[place] < 0.05 else "does not fit clearly better than"
        note = f" ({self.notes[place]})" if self.notes[place] else ""
        return f"{larger} {verb} {smaller}, {wording.p_text(self.pvalue[place])}{note}."


def compare_likelihoods(runs: Sequence[SavedRun]) -> LikelihoodComparison:
    """Likelihood-ratio tests of mixed models of the same training rows, each against the next smaller one.

    A larger model is tested where the smaller one is part of it: its fixed effects and what varies in it are among the
    larger one's. Twice the difference of the log-likelihoods is chi-squared with the difference in parameters as
    degrees of freedom. If just one effect more varies, its variance lies at the edge of what is possible and the
    p-value is that of the even mixture with one degree fewer (Self and Liang, 1987; Stram and Lee, 1994); with several
    it is that of the chi-squared distribution, which is then too large.

    Args:
        runs: two or more finished runs of mixed models.

    Raises:
        DataError: E124 for one run alone, E406 for other models, E407 for other rows or outcomes, or for likelihoods
            that cannot be compared (restricted ones with other fixed effects).
    """
    tables = _comparable(runs)
    names = [run.name for run in runs]
    names = names if len(set(names)) == len(names) else [str(run.path) for run in runs]
    found = [_model(run, name, table) for run, name, table in zip(runs, names, tables, strict=True)]
    models = tuple(sorted(found, key=lambda own: own.parameters))
    restricted = bool(tables[0]["restricted"])
    if restricted and len({own.fixed for own in models}) > 1:
        raise DataError(
            "restricted likelihoods of models with different fixed effects cannot be compared",
            code="E407",
            remedy="fit both with reml=False",
        )
    tests = [(math.nan, 0, math.nan, ""), *(_test(one, other) for one, other in pairwise(models))]
    chi2, df, pvalue, notes = zip(*tests, strict=True)
    return LikelihoodComparison(
        models=models, chi2=chi2, df=df, pvalue=pvalue, notes=notes, restricted=restricted,
        rows=int(tables[0]["rows"]),
    )  # fmt: skip


def _comparable(runs: Sequence[SavedRun]) -> list[dict[str, Any]]:
    """Likelihoods of the runs, which are of the same rows and the same kind."""
    if len(runs) < 2:
        raise DataError("one run alone cannot be compared", code="E124", remedy="name two or more runs")
    tables = [dict(run.likelihood().iloc[0]) for run in runs]
    first = _training_rows(runs[0])
    for run in runs[1:]:
        if not first.equals(_training_rows(run)):
            raise DataError(
                "the runs were not fitted to the same training rows and outcomes",
                code="E407",
                remedy="fit all models to the same data with the same split",
            )
    if len({bool(table["restricted"]) for table in tables}) > 1:
        raise DataError(
            "a restricted likelihood cannot be compared with one that is not",
            code="E407",
            remedy="fit all with reml=False, or all with reml=True",
        )
    return tables


def _training_rows(run: SavedRun) -> pd.DataFrame:
    """Numbers and outcomes of the training rows."""
    found = run.predictions()
    return found[found["split"] == "train"].sort_values("row")[["row", "truth"]].reset_index(drop=True)


def _model(run: SavedRun, name: str, table: dict[str, Any]) -> FittedModel:
    """What is compared of a run."""
    components = run.variance_components()
    varies = components[components["term"] != "residual"]
    tested = run.model in TESTED
    fixed = frozenset(str(own) for own in run.fixed_effects()["parameter"]) if tested else frozenset[str]()
    return FittedModel(
        name=name,
        tested=tested,
        parameters=int(table["parameters"]),
        deviance=float(table["deviance"]),
        aic=float(table["aic"]),
        bic=float(table["bic"]),
        fixed=fixed,
        varies=frozenset((str(row["term"]), str(row["parameter"])) for row in varies.to_dict("records")),
    )


def _test(smaller: FittedModel, larger: FittedModel) -> tuple[float, int, float, str]:
    """Statistic, degrees of freedom, p-value, and a note."""
    from scipy.stats import chi2

    nothing = math.nan, 0, math.nan
    if not (smaller.tested and larger.tested):
        return *nothing, "networks are not at the one maximum of their weights; compare errors of new rows"
    df = larger.parameters - smaller.parameters
    if df < 1 or not (smaller.fixed <= larger.fixed and smaller.varies <= larger.varies):
        return *nothing, "it is not a part of it; compare AIC and BIC"
    difference = smaller.deviance - larger.deviance
    if difference < -ROUNDING * max(abs(larger.deviance), 1.0):
        return *nothing, "the larger model fits worse, so one of them is not at its maximum"
    difference, more = max(difference, 0.0), len(larger.varies) - len(smaller.varies)
    plain = float(chi2.sf(difference, df))
    if more == 0:
        return difference, df, plain, ""
    if more > 1 or larger.fixed != smaller.fixed:
        return difference, df, plain, "variances cannot be negative, so the p-value is too large"
    fewer = float(chi2.sf(difference, df - 1)) if df > 1 else float(difference <= 0)
    return difference, df, 0.5 * plain + 0.5 * fewer, "half the p-value is for a variance of zero"
