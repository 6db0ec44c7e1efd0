"""How well models predict new persons after adapting to more and more of their rows: scores for the curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from toolkit.data.adaptation_splits import adaptation_split
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models.evaluation import metrics_table
from toolkit.models.tables import persons_table
from toolkit.runs.adapting import AdaptSettings, adapt_model, check_new, model_of, trained_persons
from toolkit.runs.families import AnyNetwork, family_of
from toolkit.runs.folder import SavedRun
from toolkit.runs.run import Data, Run, rows_of

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
Step = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A model in the comparison.

    Attributes:
        name: how it is called in tables and figures.
        run: fitted to other persons.
        settings: of the adaptation of experts.
        adapts: False leaves the model as it is at every share.
    """

    name: str
    run: Run | SavedRun
    settings: AdaptSettings | None = None
    adapts: bool = True

    @property
    def fresh(self) -> bool:
        """Whether the model starts anew, and has nothing to predict with before it saw rows of the new persons."""
        return self.settings is not None and self.settings.fresh


def adaptation_scores(
    candidates: Sequence[Candidate],
    data: Data,
    *,
    shares: Sequence[float] = SHARES,
    design: str = "time",
    seed: int,
    progress: Step | None = None,
) -> pd.DataFrame:
    """Metrics of every model on the held-out half of the new persons' rows, for each share of rows adapted to.

    Args:
        candidates: the models.
        data: rows of the new persons, none of whom the models know.
        shares: of each person's rows, from 0 to 0.5.
        design: ``time``, ``persons`` or ``random``, see `toolkit.data.adaptation_splits`.
        seed: of the split and of the adaptation.
        progress: called with fits done and fits in all.

    Returns:
        model, target, metric, share, person, value, rows (held out). The held-out rows are the same at every share. A
        model that starts anew has no rows at share 0.

    Raises:
        ConfigError: E302 for no or doubled names or shares; DataError: whatever `adapt` and the split raise.
    """
    names = [candidate.name for candidate in candidates]
    if not names or len(set(names)) < len(names):
        raise ConfigError("name each model once", code="E302", column="candidates")
    if not shares or len(set(shares)) < len(shares):
        raise ConfigError("name each share once", code="E302", column="shares")
    rows = rows_of(data)
    jobs = [(share, one) for share in shares for one in candidates if not (one.fresh and share == 0)]
    found = []
    for done, (share, candidate) in enumerate(jobs):
        split = adaptation_split(rows, share, design=design, rng=np.random.default_rng(seed))
        network = _adapted(candidate, rows, split.labels, seed)
        scored = _scores(network, rows, split.labels)
        found.append(scored.assign(model=candidate.name, share=share))
        if progress is not None:
            progress(done + 1, len(jobs))
    columns = ["model", "target", "metric", "share", "person", "value", "rows"]
    return pd.concat(found, ignore_index=True)[columns]


def _adapted(candidate: Candidate, rows: GroupedDataset, labels: np.ndarray, seed: int) -> AnyNetwork:
    """The model after adaptation, or as it is."""
    if not candidate.adapts:
        check_new(trained_persons(candidate.run), rows)
        return model_of(candidate.run)[0]
    return adapt_model(
        candidate.run, rows, seed=seed, split=labels, settings=candidate.settings, predict_only=True
    ).trained.network


def _scores(network: AnyNetwork, rows: GroupedDataset, labels: np.ndarray) -> pd.DataFrame:
    """Metrics of each person on the held-out rows."""
    read = (
        labels != "unused" if network.task == "sequence" else labels == "test"
    )  # a chain forecasts from the states before
    rows, labels = rows.take(read), labels[read]
    if network.classes is not None:
        rows = rows.as_classes(network.classes)
    predictions = family_of(network.config).predictions(network, rows, labels)
    persons = persons_table(rows, labels).assign(in_metrics=True)
    table = metrics_table(
        predictions[predictions["split"] == "test"], persons, task=network.task, classes=network.classes or ()
    )
    if "target" not in table:
        table["target"] = str(rows.target_name)
    return table[(table["scope"] == "person") & (table["level"] == "person")]
