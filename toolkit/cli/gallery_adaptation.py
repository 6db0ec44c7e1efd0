"""The gallery's adaptation curve: two networks meet the new persons of simulated videos."""

from __future__ import annotations

import numpy as np

from analyses.adaptation import adaptation_curve
from toolkit.data.grouped import GroupedDataset
from toolkit.runs.adaptation_scores import Candidate, adaptation_scores
from toolkit.runs.folder import SavedRun, save_analysis


def keep_adaptation(experts: SavedRun, shared: SavedRun, data: GroupedDataset, *, resamples: int, seed: int) -> None:
    """Scores of both networks on the persons that neither was trained with, kept with the first run."""
    rows = experts.predictions().drop_duplicates("row").set_index("row")["split"]
    order = np.asarray(data.row_numbers)
    new = np.flatnonzero(rows.reindex(order).to_numpy(dtype=object) == "test")
    candidates = [Candidate(name="Experts (PEN)", run=experts), Candidate(name="Shared network", run=shared)]
    scores = adaptation_scores(candidates, data.take(new), design="time", seed=seed)
    result = adaptation_curve(scores, "ccc", design="time", resamples=resamples, rng=np.random.default_rng(seed))
    save_analysis(experts, "adaptation", result)
