"""Table 1 of Feffer, Rudovic and Picard (2018) on simulated video: source and target models after adaptation.

Run as ``python -m benchmarks.papers.pen_recola [--seeds 5] [--features 2048] [--designs time persons random]``. Nine
persons train, nine others adapt on 0 to 50 % of their frames and are judged on the same held-out half
(`toolkit.data.simulate.affect_video`: 18 persons, five minutes at 25 frames a second). Designs: ``time`` (contiguous;
five seeds), and for the first seed ``persons`` (who adapts is not who is judged) and ``random`` (frames drawn at
random, as published: neighbours of the judged frames adapt). Prints the CCC per target, model and share, as the mean
over persons and seeds, and in how many cases the order of the paper's table holds; result in
``benchmarks/results/pen_recola.json``.

s-PEN adapts slowly and long (60 passes at .0003, from an undecided gate): so many frames of 2,048 features tempt a
quicker one to learn its nine persons by heart. That was found on the studies of seeds 1 and 4; the table is made of
seeds 5 to 9. The models it is compared with adapt twice, like that and as is usual (30 passes at .001), and are taken
at the better of both in every single case, by the frames they are judged on: an advantage s-PEN does not get.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from benchmarks.papers import held_out_persons as held
from toolkit import fit
from toolkit.data import simulate
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ToolkitWarning
from toolkit.models import Pen, PenShared
from toolkit.runs.adaptation_scores import SHARES, Candidate
from toolkit.runs.adapting import AdaptSettings

SOURCE = 9
SLOW = {"lr": 0.0003, "epochs": 60}
USUAL = {"lr": 0.001, "epochs": 30}
MODELS = ("s-SN", "s-PEN", "s-PEN, NME prior", "t-SN", "t-PEN")
QUICK = ", quicker"


def models(source: GroupedDataset, seed: int, *, with_prior: bool) -> Sequence[Candidate]:
    """The models of Table 1, and s-PEN whose experts share strength."""
    settings = {"precision": "float32", "lr": 0.003, "batch": 1024}
    # within the source persons, later frames validate: neighbours of training frames would end nothing early
    shared = fit(PenShared(**settings), source, seed=seed)
    experts = fit(Pen(**settings), source, seed=seed)
    joined = [fit(Pen(prior="nme", **settings), source, seed=seed)] if with_prior else []
    slow = AdaptSettings(soften=1.0, **SLOW)
    found = [Candidate(name="s-PEN", run=experts, settings=slow)]
    found += [Candidate(name="s-PEN, NME prior", run=run, settings=slow) for run in joined]
    for suffix, pace in (("", SLOW), (QUICK, USUAL)):
        fresh = AdaptSettings(fresh=True, **pace)
        found += [
            Candidate(name=f"s-SN{suffix}", run=shared, settings=AdaptSettings(**pace)),
            Candidate(name=f"t-SN{suffix}", run=shared, settings=fresh),
            Candidate(name=f"t-PEN{suffix}", run=experts, settings=fresh),
        ]
    return found


def at_their_best(scores: pd.DataFrame) -> pd.DataFrame:
    """CCC by seed, design, target and share, mean over persons; a model that adapted twice at its better one."""
    mine = scores[scores["metric"] == "ccc"]
    mine = mine.assign(pace=mine["model"].str.endswith(QUICK), model=mine["model"].str.removesuffix(QUICK))
    case = ["seed", "design", "target", "share", "model"]
    means = mine.groupby([*case, "pace"], sort=False)["value"].mean()
    return means.groupby(case, sort=False).max().reset_index()


def one_seed(seed: int, features: int, designs: Sequence[str], *, with_prior: bool) -> pd.DataFrame:
    """Scores of one simulated study."""
    started = time.monotonic()
    data = simulate.affect_video(features=features, rng=np.random.default_rng(seed)).data
    person = np.asarray(data.person)
    source, target = data.take(person < SOURCE), data.take(person >= SOURCE).of_present_persons()
    del data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        fitted = models(source.of_present_persons(), seed, with_prior=with_prior)
    print(f"seed {seed}: models fitted after {time.monotonic() - started:.0f} s", flush=True)
    found = []
    for design in designs:
        for candidate in fitted:
            table = held.scored(candidate, target, shares=SHARES, design=design, seed=seed)
            found.append(table.assign(design=design, seed=seed))
        print(f"seed {seed}: {design} after {time.monotonic() - started:.0f} s", flush=True)
    return pd.concat(found, ignore_index=True)


def table_of(cases: pd.DataFrame, design: str) -> pd.DataFrame:
    """Mean over seeds: target and model in rows, shares in columns."""
    mine = cases[cases["design"] == design]
    wide = mine.pivot_table(index=["target", "model"], columns="share", values="value", sort=False)
    order = [(target, model) for target in dict.fromkeys(mine["target"]) for model in MODELS]
    return wide.reindex([row for row in order if row in wide.index])[sorted(wide.columns)]


def order_holds(cases: pd.DataFrame, design: str) -> list[dict[str, object]]:
    """For each share, in how many seeds (and targets) the order of Table 1 holds."""
    mine = cases[cases["design"] == design]
    wide = mine.pivot_table(index=["seed", "target", "share"], columns="model", values="value")
    rows = []
    for share, part in wide.groupby("share"):
        rows.append(
            {
                "share": share,
                "cases": len(part),
                "s-PEN over s-SN": int((part["s-PEN"] > part["s-SN"]).sum()),
                "s-SN over t-SN": int((part["s-SN"] > part["t-SN"]).sum()),
                "s-PEN over t-PEN": int((part["s-PEN"] > part["t-PEN"]).sum()),
                "s-PEN over t-SN": int((part["s-PEN"] > part["t-SN"]).sum()),
                "s-SN over t-PEN": int((part["s-SN"] > part["t-PEN"]).sum()),
            }
        )
    return rows


def main() -> None:
    """Fit, adapt, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=5)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--designs", nargs="*", default=["time", "persons", "random"])
    parser.add_argument("--prior-seeds", type=int, default=1, help="seeds with the NME prior, which takes longer")
    parser.add_argument("--name", default="pen_recola")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
        found.append(
            one_seed(
                seed,
                chosen.features,
                chosen.designs if seed == chosen.first_seed else chosen.designs[:1],
                with_prior=seed < chosen.first_seed + chosen.prior_seeds,
            )
        )
        cases = at_their_best(pd.concat(found, ignore_index=True))
        tables: dict[str, object] = {"seeds done": len(found), "cases": cases.round(4).to_dict("records")}
        for design in chosen.designs:
            means = table_of(cases, design)
            print(f"\nCCC, mean over persons and {len(found) if design == chosen.designs[0] else 1} seed(s), {design}")
            print(means.round(3).to_string(), flush=True)
            tables[design] = means.reset_index().to_dict("records")
        order = order_holds(cases, chosen.designs[0])
        print(f"\n{pd.DataFrame(order).to_string(index=False)}", flush=True)
        held.keep(chosen.name, vars(chosen), {**tables, "order": order})


if __name__ == "__main__":
    main()
