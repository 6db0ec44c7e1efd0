"""The real data of the MC-GMENN paper that are at hand, as its Table 4 uses them (six of the sixteen sets).

Columns with more than 95 % of their cells empty are dropped. Text columns of at least 10 levels are clustering
features, as are the columns the public code names by hand; other text columns become one-hot inputs, an empty cell a
level of its own. Numbers are filled with the mean, standardised, and cut at five standard deviations, by the training
rows of a fold: a single plant 27 standard deviations thick would otherwise decide when the networks of a fold stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import Grouping

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
LEVELS = 10
EMPTY = 0.95
FAR = 5.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """Rows of a study.

    Attributes:
        frame: numbers and one-hot inputs, empty cells included (rows, features).
        target: class codes (rows,).
        classes: their names.
        factors: clustering features.
        published: area under the curve, and its standard deviation over five folds, by model (Table 4).
    """

    frame: pd.DataFrame
    target: np.ndarray
    classes: tuple[str, ...]
    factors: tuple[Grouping, ...]
    published: dict[str, tuple[float, float]]

    @property
    def task(self) -> str:
        """Kind of outcome."""
        return "binary" if len(self.classes) == 2 else "multiclass"

    def data(self, training: np.ndarray) -> GroupedDataset:
        """The rows as models read them: empty cells filled and far ones cut by the training rows (rows,)."""
        values = self.frame.to_numpy(dtype=np.float64)
        means = np.nan_to_num(np.nanmean(values[training], axis=0))
        reach = FAR * np.nan_to_num(np.nanstd(values[training], axis=0))
        values = np.clip(values, means - reach, means + reach)
        return GroupedDataset(
            features=np.where(np.isnan(values), means, values),
            feature_names=tuple(self.frame.columns.astype(str)),
            target=self.target.astype(np.float64),
            target_name="y",
            classes=self.classes,
            groupings=self.factors,
            row_numbers=np.arange(len(values)),
            pseudonymous=True,
        )


def churn(folder: Path) -> Study:
    """Customers who leave; state, and number of calls to the service as levels."""
    frame = pd.read_csv(folder / "pargent_churn.csv")
    return _study(frame, "churn", PUBLISHED["churn"], as_levels=["number_customer_service_calls"])


def eucalyptus(folder: Path) -> Study:
    """How useful seedlots are, in five grades; site, map, latitude, species."""
    frame = pd.read_csv(folder / "pargent_eucalyptus.csv")
    return _study(frame, "Utility", PUBLISHED["eucalyptus"])


def midwest(folder: Path) -> Study:
    """Where people of the survey live, no answer included; how they call their part of the country."""
    frame = pd.read_csv(folder / "pargent_midwest_survey.csv").drop(columns=["respondent", "zip"])
    frame["census_region"] = frame["census_region"].fillna("no answer")
    return _study(frame, "census_region", PUBLISHED["midwest"])


def video_games(folder: Path) -> Study:
    """Genre of video games; platform, publisher."""
    frame = pd.read_csv(folder / "pargent_video_game_sales.csv").drop(columns=["Rank", "Name"])
    return _study(frame, "Genre", PUBLISHED["video-games"])


def adult(folder: Path) -> Study:
    """Income above 50,000; education, occupation, native country."""
    frame = pd.read_parquet(folder / "pargent_adult.parquet").drop(columns="split")
    return _study(frame, "class", PUBLISHED["adult"])


def okcupid(folder: Path) -> Study:
    """Work in science and engineering, other work, or study; ten clustering features, income among them.

    The file has not the place of residence, one of the paper's eleven.
    """
    frame = pd.read_parquet(folder / "pargent_okcupid.parquet")
    frame = frame[frame["job"].notna() & ~frame["job"].isin(["rather not say", "unemployed", "retired"])]
    stem = frame["job"].isin(["science / tech / engineering", "computer / hardware / software"])
    frame["job"] = np.where(stem, "stem", np.where(frame["job"] == "student", "student", "other"))
    return _study(frame.reset_index(drop=True), "job", PUBLISHED["okcupid"], as_levels=["income"])


def _published(
    mcgmenn: float, encoding: float, one_hot: float, embeddings: float, ignore: float, *spreads: float
) -> dict[str, tuple[float, float]]:
    """The row of Table 4 by model; standard deviations in the same order."""
    names = ("mcgmenn", "target-encoding", "one-hot", "embeddings", "ignore")
    means = (mcgmenn, encoding, one_hot, embeddings, ignore)
    return {name: (mean, spread) for name, mean, spread in zip(names, means, spreads, strict=True)}


# means with four decimals are those of the authors' stored results; standard deviations are Table 4's
PUBLISHED: dict[str, dict[str, tuple[float, float]]] = {
    "eucalyptus": _published(0.8952, 0.9006, 0.8947, 0.9070, 0.9070, 0.022, 0.023, 0.032, 0.026, 0.031),
    "midwest": _published(0.8775, 0.7447, 0.8179, 0.8817, 0.7510, 0.023, 0.010, 0.006, 0.013, 0.010),
    "churn": _published(0.8806, 0.8833, 0.8976, 0.9047, 0.7238, 0.020, 0.018, 0.024, 0.024, 0.046),
    "video-games": _published(0.7862, 0.5952, 0.7729, 0.7761, 0.7027, 0.009, 0.020, 0.006, 0.006, 0.011),
    "adult": _published(0.9066, 0.9066, 0.9019, 0.9013, 0.9020, 0.003, 0.001, 0.002, 0.002, 0.001),
    "okcupid": _published(0.7981, 0.6230, 0.7503, 0.7394, 0.7298, 0.004, 0.019, 0.004, 0.010, 0.005),
}
STUDIES: dict[str, Callable[[Path], Study]] = {
    "eucalyptus": eucalyptus, "midwest": midwest, "churn": churn, "video-games": video_games, "adult": adult,
    "okcupid": okcupid,
}  # fmt: skip


def present(folder: Path, name: str) -> Study | None:
    """A study, or None with a message where its file is not in the folder."""
    try:
        return STUDIES[name](folder)
    except FileNotFoundError:
        print(f"{name}: its file is not in {folder}; skipped", flush=True)
        return None


def _study(
    frame: pd.DataFrame, target: str, published: dict[str, tuple[float, float]], as_levels: Sequence[str] = ()
) -> Study:
    """Sort the columns by what they are."""
    frame = frame.loc[:, frame.isna().mean() <= EMPTY]
    outcome = pd.Categorical(frame[target].astype(str))
    columns = frame.drop(columns=target)
    words = [name for name in columns if not pd.api.types.is_numeric_dtype(columns[name])]
    many = [name for name in columns if name in as_levels or (name in words and columns[name].nunique() >= LEVELS)]
    few = [name for name in words if name not in many]
    numbers = columns.drop(columns=[*many, *few]).astype(np.float64)
    dummies = pd.get_dummies(columns[few].fillna("empty").astype(str), dtype=float) if few else pd.DataFrame()
    return Study(
        frame=pd.concat([numbers, dummies], axis=1),
        target=np.asarray(outcome.codes, dtype=np.int64),
        classes=tuple(str(name) for name in outcome.categories),
        factors=tuple(_factor(columns[name]) for name in many),
        published=published,
    )


def _factor(column: pd.Series) -> Grouping:
    """A clustering feature; empty cells are a level."""
    levels = pd.Categorical(column.astype(object).where(column.notna(), "empty").astype(str))
    codes = np.asarray(levels.codes, dtype=np.int64)
    return Grouping(name=str(column.name), codes=codes, levels=tuple(str(name) for name in levels.categories))
