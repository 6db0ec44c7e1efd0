"""``nme split``: a split on disk, with what training and test rows share."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from toolkit.cli.answers import Answer
from toolkit.data.split_designs import DESIGNS, find_leakage, k_fold, make_split
from toolkit.data.split_file import save_split
from toolkit.data.study import Study

UNIT_OF_DESIGN = {"random": "row", "persons": "person", "clusters": "cluster"}


def run_split(path: Path, design: str, out: Path, *, folds: int | None, target: str | None, seed: int) -> Answer:
    """Make a split and keep it; see the command for the arguments."""
    study = Study.read(path)
    is_state = target is None and bool(study.targets) and study.targets[0] == study.state
    data = study.sequences().data if is_state else study.grouped(target)
    rng = np.random.default_rng(seed)
    if folds is None:
        splits = [make_split(design, data, rng=rng)]
        asked = DESIGNS[design]
    else:
        splits = k_fold(data, folds, UNIT_OF_DESIGN.get(design, design), rng=rng)
        asked = f"every {UNIT_OF_DESIGN.get(design, design)} tests once in {folds} folds"
    save_split(splits, data, out)
    leakage = find_leakage(data, splits[0])
    counts = ", ".join(f"{part} {count}" for part, count in splits[0].counts.items())
    lines = [f"Asks how well a model predicts {asked}.", f"Rows: {counts}.", leakage.text(), f"Kept in {out}"]
    return Answer(
        text="\n".join(lines),
        data={"split": str(out), "names": [split.name for split in splits], "rows": splits[0].counts}
        | {"shared": asdict(leakage)},
    )
