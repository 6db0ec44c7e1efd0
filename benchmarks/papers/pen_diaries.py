"""Experts, person effects and generic networks on new persons of two diary studies; persons held out whole.

Run as ``python -m benchmarks.papers.pen_diaries [study ...] [--folds 3]``. Studies: ``valence-arousal`` (bundled; 133
persons with at least 10 rows, two targets) and ``depressed-mood`` (Kuczynski et al., 2021; read from beside the
checkout, and left out with a message where it is not there). Every person is held out once; models are fitted to the
persons of the other folds and adapt to the first rows of each new person; the last half of the rows is predicted.
Differences are paired over persons (bootstrap-t, 10,000 resamples). Result: ``benchmarks/results/pen_diaries.json``.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from analyses.adaptation import NEEDED
from benchmarks.papers import held_out_persons as held
from toolkit import fit
from toolkit.data.demo import bundled_study
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ToolkitWarning
from toolkit.models import GenericMlp, NmeMlp, Pen, PenShared
from toolkit.runs.adaptation_scores import Candidate
from toolkit.runs.adapting import AdaptSettings

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
FEWEST = 10
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data" / "kuczynski2021_daily.csv"
ITEMS = ["depressed", "anhedonia", "loneliness", "left_out", "social_interaction"]
FRESH = AdaptSettings(fresh=True)


def valence_arousal() -> GroupedDataset:
    """The bundled study, both targets, persons with at least ten rows."""
    return enough_rows(bundled_study("valence-arousal").grouped(["valence", "arousal"]))


def depressed_mood() -> GroupedDataset | None:
    """Daily depressed mood from the answers of the day before; None where the file is not at hand."""
    if not BESIDE.exists():
        print(f"{BESIDE.name} is not beside this checkout: left out")
        return None
    frame = pd.read_csv(BESIDE)[["id", "day", *ITEMS]].dropna().sort_values(["id", "day"])
    before = frame.groupby("id")
    for name in ITEMS:
        frame[f"{name}_before"] = before[name].shift()
    frame["gap"] = before["day"].diff()
    frame = frame.dropna()
    features = [f"{name}_before" for name in ITEMS] + ["gap"]
    data = GroupedDataset.from_frame(frame, target="depressed", features=features, groups="id", time="day")
    return enough_rows(data)


def enough_rows(data: GroupedDataset) -> GroupedDataset:
    """Persons with at least ten rows."""
    count = np.bincount(np.asarray(data.person), minlength=data.n_persons)
    return data.take(count[np.asarray(data.person)] >= FEWEST).of_present_persons()


def models(source: GroupedDataset, seed: int) -> Sequence[Candidate]:
    """Everything that is compared, fitted to the source persons."""
    shared, experts = fit(PenShared(), source, seed=seed), fit(Pen(), source, seed=seed)
    found = [
        Candidate(name="s-SN", run=shared),
        Candidate(name="s-PEN", run=experts),
        Candidate(name="s-PEN, NME prior", run=fit(Pen(prior="nme"), source, seed=seed)),
        Candidate(name="t-SN", run=shared, settings=FRESH),
        Candidate(name="t-PEN", run=experts, settings=FRESH),
    ]
    for name in source.target_names:
        one = one_target(source, name)
        found += [
            Candidate(name="generic", run=fit(GenericMlp(), one, seed=seed), adapts=False),
            Candidate(name="NME", run=fit(NmeMlp(), one, seed=seed)),
        ]
    return found


def one_target(data: GroupedDataset, name: str) -> GroupedDataset:
    """The same rows with one of the targets."""
    place = data.target_names.index(name)
    return replace(
        data, target=np.asarray(data.targets)[:, place], target_name=name, further_targets=None, further_target_names=()
    )


def all_scores(data: GroupedDataset, folds: int, seed: int) -> pd.DataFrame:
    """Scores of every model; models of one target see the target they were fitted to."""
    parts = []
    for number, codes in enumerate(held.folds_of_persons(data, folds, np.random.default_rng(seed))):
        new = np.isin(np.asarray(data.person), codes)
        source, target = data.take(~new).of_present_persons(), data.take(new).of_present_persons()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ToolkitWarning)
            fitted_models = models(source, seed + number)
        for candidate in fitted_models:
            fitted = tuple(candidate.run.manifest["targets"])
            rows = target if fitted == target.target_names else one_target(target, fitted[0])
            parts.append(held.scored(candidate, rows, shares=SHARES, design="time", seed=seed))
        print(f"  fold {number + 1} of {folds} done", flush=True)
    return pd.concat(parts, ignore_index=True)[[*NEEDED, "rows"]]


def main() -> None:
    """Fit, print the tables, keep them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("studies", nargs="*", default=["valence-arousal", "depressed-mood"])
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    tables = {}
    for name in chosen.studies:
        data = valence_arousal() if name == "valence-arousal" else depressed_mood()
        if data is None:
            continue
        print(f"{name}: {data.n_persons} persons, {data.n_rows} rows", flush=True)
        scores = all_scores(data, chosen.folds, chosen.seed)
        tables[name] = {"persons": data.n_persons, "rows": data.n_rows}
        for metric in ("ccc", "rmse"):
            found = held.curve(scores, metric, "time")
            print(f"\nMean {metric} per person\n{held.shown(found)}", flush=True)
            tables[name][metric] = found.to_frame().to_dict("records")
            for other in ("s-SN", "generic", "NME", "t-PEN"):
                table = held.differences(found, "s-PEN, NME prior", other)
                tables[name][f"{metric}: s-PEN, NME prior, minus {other}"] = table.to_dict("records")
                print(f"\n{metric}: s-PEN with NME prior minus {other}\n{table.round(3).to_string(index=False)}")
    print(held.keep("pen_diaries", vars(chosen), tables))


if __name__ == "__main__":
    main()
