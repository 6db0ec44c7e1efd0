"""The runs and results that the gallery draws: the bundled studies and two simulated ones; finished ones are reused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.cli import gallery_factors
from toolkit.cli.demo import QUICK_EPOCHS, plans
from toolkit.data.demo import STUDY_FILES, bundled_study, demo_study
from toolkit.data.demo.dyads import STATES, STUDY, dyads
from toolkit.data.grouped import GroupedDataset
from toolkit.data.readers import read_table
from toolkit.data.simulate.affect_video import affect_video
from toolkit.data.splits import within_person_time
from toolkit.data.study import Study
from toolkit.data.study_writing import write_text
from toolkit.errors import Interrupted, RunFolderError
from toolkit.models import Lmm, NmeCrf, Pen, PenShared
from toolkit.models.config import Configuration
from toolkit.runs.checkpoint import checkpoint_folder, read_checkpoint
from toolkit.runs.fitting import fit
from toolkit.runs.folder import SavedRun, load_run
from toolkit.runs.run import Data, rows_of

MATERIAL = "material"
TRUTH = "truth.parquet"
MADE = "made.txt"
COVARIATE = "cesd"
Step = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """One run of the gallery: its name, the model, and where its data come from."""

    name: str
    config: Configuration
    data: Callable[[Path], tuple[Data, Study | None]]
    split: Callable[[GroupedDataset], Any] | None = None


def fits(*, quick: bool) -> list[Fit]:
    """All runs: the demonstration's, simulated families, simulated videos, and ratings of valence and arousal."""
    few: dict[str, Any] = {"epochs": QUICK_EPOCHS} if quick else {}
    stages: dict[str, Any] = {"shared_epochs": 5, "head_epochs": 5, "epochs": 5} if quick else {}
    demo = [Fit(name=p.name, config=p.config, data=_demo(p.variant, p.target)) for p in plans(quick=quick)]
    return [
        *demo,
        Fit(name="nme-crf-dyads", config=NmeCrf(effects="T", hidden=(), **few), data=_families),
        Fit(name=gallery_factors.NAME, config=Lmm(random=gallery_factors.RANDOM), data=gallery_factors.items),
        Fit(name="pen-video", config=Pen(**stages), data=_video, split=new_persons),
        Fit(name="pen-shared-video", config=PenShared(**stages), data=_video, split=new_persons),
        Fit(name="pen-shared-valence-arousal", config=PenShared(**stages), data=_ratings, split=new_persons),
    ]


def fitted(one: Fit, folder: Path, *, seed: int) -> SavedRun:
    """The run in its folder; fitted now unless it is there, whole, with the same settings, data and seed.

    An outdated run that the gallery made itself (another seed, ``--quick``, an older version) is fitted anew.

    Raises:
        RunFolderError: E306 when another run of this name, made by somebody else, is in the folder.
        Interrupted: at a signal; the same command goes on.
    """
    place = folder / one.name
    data, study = one.data(folder / MATERIAL)
    run = _there(place)
    if run is not None and _is_same(run, one, data, seed):
        return run
    if place.exists() and not _is_ours(folder, one.name):
        raise RunFolderError(
            f"the folder holds another run of the name {one.name}",
            code="E306",
            column="runs",
            remedy="choose another folder (--runs)",
        )
    _claim(folder, one.name)
    split = "within-person-time" if one.split is None else one.split(rows_of(data))
    resume = not place.exists() and read_checkpoint(checkpoint_folder(place)) is not None
    how = {"resume": resume, "overwrite": not resume}
    try:
        fit(one.config, data, seed=seed, device="cpu", split=split, out=place, study=study, progress=None, **how)
    except Interrupted as stop:
        raise Interrupted(
            "the gallery was interrupted",
            signal_number=stop.exit_code - 128,
            remedy="the same command goes on with what is there",
        ) from None
    return load_run(place)


def _there(place: Path) -> SavedRun | None:
    """A finished run with all its files as they were written; None without one."""
    try:
        run = load_run(place)
        run.verify()
    except RunFolderError:
        return None
    return run


def _is_ours(folder: Path, name: str) -> bool:
    """Whether the gallery made this run: its name is in the list beside the simulated data."""
    made = folder / MATERIAL / MADE
    return made.is_file() and name in made.read_text(encoding="utf-8").splitlines()


def _claim(folder: Path, name: str) -> None:
    if not _is_ours(folder, name):
        made = folder / MATERIAL / MADE
        made.parent.mkdir(parents=True, exist_ok=True)
        before = made.read_text(encoding="utf-8") if made.is_file() else ""
        write_text(made, f"{before}{name}\n")


def _is_same(run: SavedRun, one: Fit, data: Data, seed: int) -> bool:
    rows = rows_of(data)
    hashes = {rows.content_hash()} | ({rows.as_classes().content_hash()} if run.states else set())
    same = run.manifest["config"] == one.config.model_dump(mode="json") and run.manifest["seed"] == seed
    return same and run.manifest["data"]["hash"] in hashes


def new_persons(data: GroupedDataset) -> np.ndarray:
    """Every second person is kept out as a new one; of the others, the first rows train and the last validate."""
    labels = np.array(within_person_time(data, fractions=(0.8, 0.2, 0.0)).labels, dtype=object)
    labels[np.asarray(data.person) % 2 == 1] = "test"
    return labels


def _demo(variant: str, target: str) -> Callable[[Path], tuple[Data, Study]]:
    def data(_: Path) -> tuple[Data, Study]:
        study = demo_study(variant)
        return (study.sequences() if target == "state" else study.grouped(target=target)), study

    return data


def _families(material: Path) -> tuple[Data, Study]:
    """Simulated families with a table of their true transition probabilities beside the study."""
    folder = material / "dyads"
    if not (folder / TRUTH).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        frame, truth = dyads(rng=np.random.default_rng(1), persons=80, families=40, segments=8_000)
        frame.to_parquet(folder / "data.parquet", index=False)
        write_text(folder / "study.toml", STUDY)
        names = sorted(frame["person"].unique())
        rows = [
            {"level": name, "parameter": f"expected[{a},{b}]", "true": float(truth.probabilities[k, x, y])}
            for k, name in enumerate(names)
            for x, a in enumerate(STATES)
            for y, b in enumerate(STATES)
            if x != y
        ]
        pd.DataFrame(rows).to_parquet(folder / TRUTH, index=False)
    study = Study.read(folder / "study.toml")
    return study.sequences(), study


def video() -> GroupedDataset:
    """Simulated videos of 18 persons, smaller than the paper's: 40 seconds of 10 frames, 96 features."""
    return affect_video(seconds=40.0, frames_per_second=10, features=96, relevant=32, rng=np.random.default_rng(1)).data


def _video(_: Path) -> tuple[Data, None]:
    return video(), None


def _ratings(_: Path) -> tuple[Data, Study]:
    study = bundled_study("valence-arousal")
    return study.grouped(["valence", "arousal"]), study


def covariate_table(folder: Path) -> Path:
    """A csv file with the CES-D mean of every person of the diary study, by pseudonym."""
    path = folder / MATERIAL / "persons.csv"
    if not path.is_file():
        study = demo_study()
        key = pd.read_csv(STUDY_FILES["absolute"].parent / "study.key.csv", dtype=str)
        names = dict(zip(key["label"], key["pseudonym"], strict=True))
        raw = read_table(study.data_file, text_columns=("id",)).drop_duplicates("id")
        table = pd.DataFrame({"person": raw["id"].map(names), COVARIATE: raw["cesd_mean"].astype(float)})
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, table.dropna().to_csv(index=False))
    return path


def has_result(run: SavedRun, name: str) -> bool:
    """Whether an analysis is kept with the run."""
    return (run.path / "analyses" / name / "result.json").is_file()


def results(
    runs: Mapping[str, SavedRun], folder: Path, *, quick: bool, seed: int
) -> list[tuple[str, Callable[[], Any]]]:
    """What has to be computed beforehand: a title and the call, for results that are not kept yet."""
    from toolkit.cli.differences import DifferenceOptions, differences
    from toolkit.cli.gallery_adaptation import keep_adaptation
    from toolkit.cli.repeat_fits import run_less_data, run_stability
    from toolkit.cli.robustness import multiverse, power

    crf, centred = runs["nme-crf-absolute"], runs["nme-crf-person_centred"]
    items = runs[gallery_factors.NAME]
    study, draws = STUDY_FILES["absolute"], 199 if quick else 10_000
    slopes = DifferenceOptions(covariate=COVARIATE, persons=covariate_table(folder), resamples=draws, seed=seed)
    plausible = DifferenceOptions(plausible=5 if quick else 20, resamples=draws, seed=seed)
    simulated = {"simulations": 99 if quick else 500, "base": "expected", "hsic": True}
    design = {"clusters": "10,20,40,80", "transitions": "50,100", "cluster_size": 1, "correlation": 0.0}
    cell = {"cell": "positive,dysphoric", "difference": 5.0}
    todo: list[tuple[str, SavedRun, str, Callable[[], Any]]] = [
        ("Choices", crf, "multiverse", lambda: multiverse(
            [crf.path, centred.path], unit="auto", permutations=199 if quick else 999, alpha=0.05, seed=seed)),
        ("Power", crf, "power", lambda: power(crf.path, **cell, **design, **simulated, seed=seed, quiet=True)),
        ("Stability", crf, "stability", lambda: run_stability(
            [crf.path], study=study, refits=2 if quick else 3, repeats=0, resamples=draws, seed=seed, quiet=True)),
        ("Less data", runs["generic-mlp"], "less-data", lambda: run_less_data(
            [runs["generic-mlp"].path, runs["nme-mlp"].path], study, metric="nrmse", resamples=draws, seed=seed,
            quiet=True)),
        ("Parts of a prediction", items, "contributions", lambda: gallery_factors.keep_contributions(
            items.path, folder / MATERIAL)),
        ("Slopes", crf, f"slopes-{COVARIATE}", lambda: differences(crf.path, slopes)),
        ("Plausible values", crf, "plausible-probability", lambda: differences(crf.path, plausible)),
        ("Adaptation", runs["pen-video"], "adaptation", lambda: keep_adaptation(
            runs["pen-video"], runs["pen-shared-video"], video(), resamples=draws, seed=seed)),
    ]  # fmt: skip
    return [(title, make) for title, run, name, make in todo if not has_result(run, name)]
