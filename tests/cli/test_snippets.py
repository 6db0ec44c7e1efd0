"""The code beside every kept analysis runs in a fresh interpreter and gives the same words and numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analyses.report.snippets import PARTS, snippet
from tests.cli.test_analysis_commands import STUDY
from tests.small_study import small_study
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.errors import RunFolderError
from toolkit.runs.folder import load_run
from toolkit.runs.kept import Recipe, kept_analyses, near
from toolkit.runs.number_comparison import compare_tables, compare_values

FITS = {"nme-mlp": ("nme-mlp", 1), "nme-mlp-2": ("nme-mlp", 2), "generic-mlp": ("generic-mlp", 1)}
FITS |= {"nme-crf": ("nme-crf", 1), "three": ("nme-crf", 1)}
FEW = ("--resamples", "99")
# name of the folder, command, runs, further words
ANALYSES = [
    ("hsic-score", "hsic", ["nme-crf"], ["--permutations", "99", "--unit", "person"]),
    ("hsic-observed", "hsic", ["nme-crf"], ["--value", "observed", "--permutations", "99", "--effect-size"]),
    ("differences-probability", "differences", ["nme-crf"], [*FEW, "--permutations", "99"]),
    ("differences-expected-adjusted", "differences", ["nme-crf"],
     [*FEW, "--value", "expected", "--adjust-base-rates", "--unit", "person"]),
    ("differences-observed-adjusted", "differences", ["nme-crf"],
     [*FEW, "--value", "observed", "--adjust-base-rates", "--unit", "person"]),
    ("differences-probability", "differences", ["three"], [*FEW, "--unit", "person"]),
    ("plausible-probability", "differences", ["nme-crf"], [*FEW, "--plausible", "5", "--unit", "person"]),
    ("slopes-rows", "differences", ["nme-crf"], [*FEW, "--covariate", "rows", "--unit", "person"]),
    ("base-rates", "base-rates", ["nme-crf"], ["--permutations", "99"]),
    ("baseline", "baseline", ["nme-mlp"], [*FEW, "--permutations", "99"]),
    ("variance", "variance", ["nme-mlp"], []),
    ("drivers", "drivers", ["nme-crf"], ["--cell", "calm,sad", "--unit", "person"]),
    ("comparison", "compare", ["nme-mlp", "generic-mlp"], [*FEW, "--unit", "person"]),
    ("stability", "stability", ["nme-mlp", "nme-mlp-2"], []),
    ("multiverse", "multiverse", ["nme-crf"], ["--permutations", "99"]),
    ("power", "power", ["nme-crf"],
     ["--cell", "calm,sad", "--clusters", "8", "--transitions", "30", "--simulations", "99", "--no-hsic"]),
]  # fmt: skip
IN_PROCESS = [entry for entry in ANALYSES if entry[0] not in ("hsic-score", "baseline")]


def nme(*words: object) -> int:
    return plain_errors(lambda: app([str(word) for word in words], standalone_mode=False))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Fits of a study in which rows per person and number of groups vary."""
    folder = tmp_path_factory.mktemp("study")
    frame = small_study(persons=24)
    number = frame["who"].str.removeprefix("Anna-").astype(int)
    frame = frame[frame.groupby("who").cumcount() < 10 + number % 6]
    frame.to_csv(folder / "data.csv", index=False)
    frame.assign(arm=(number % 3).astype(str)).to_csv(folder / "three.csv", index=False)
    (folder / "study.toml").write_text(STUDY)
    (folder / "three.toml").write_text(STUDY.replace("data.csv", "three.csv"))
    for name, (model, seed) in FITS.items():
        study = folder / ("three.toml" if name == "three" else "study.toml")
        words = ["--model", model, "--seed", seed, "--epochs", 8, "--set", "hidden=(3,)"]
        words += ["--set", "variance_update=paper"] if model == "nme-crf" else []
        assert nme("fit", study, *words, "--out", folder / "runs" / name) == 0
    return folder / "runs"


@pytest.fixture(scope="module")
def analysed(runs):
    """Every analysis, kept."""
    for _, command, names, words in ANALYSES:
        start = ["compare"] if command == "compare" else ["analyze", command]
        assert nme(*start, *(runs / name for name in names), *words) == 0
    return runs


@pytest.mark.parametrize("entry", IN_PROCESS, ids=lambda entry: f"{entry[0]} {entry[2][0]}")
def test_the_code_gives_the_same_table_and_the_same_words(analysed, entry, capsys, recwarn):
    name, _, (first, *_), _ = entry
    run = load_run(analysed / first)
    kept = next(found for found in kept_analyses(run) if found.name == name)
    assert kept.recipe is not None
    space: dict = {}
    exec(compile(snippet(kept.recipe, run.path), "snippet", "exec"), space)
    found = space["result"]
    summary = json.loads(json.dumps(found.summary(), default=float))
    assert compare_tables(name, kept.frame, found.to_frame(), tolerance=0.0).verdict == "equal"
    assert compare_values(name, kept.summary, summary, tolerance=0.0).verdict == "equal"
    assert capsys.readouterr().out == (run.path / "analyses" / name / "text.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["nme-crf/analyses/hsic-score", "nme-mlp/analyses/baseline"])
def test_the_file_beside_a_result_runs_as_it_stands(analysed, place):
    folder = analysed / place
    done = subprocess.run(
        [sys.executable, str(folder / "snippet.py")], capture_output=True, text=True, env=os.environ, check=True,
        cwd=folder.parents[3],
    )  # fmt: skip
    assert done.stdout == (folder / "text.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("entry", ANALYSES, ids=lambda entry: f"{entry[0]} {entry[2][0]}")
def test_every_file_runs_in_a_fresh_interpreter(analysed, entry):
    name, _, (first, *_), _ = entry
    folder = analysed / first / "analyses" / name
    done = subprocess.run([sys.executable, str(folder / "snippet.py")], capture_output=True, text=True, check=True)
    assert done.stdout == (folder / "text.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["stability", "--refits", "2", "--repeats", "1"], ["less-data", "--resamples", "99"]]
)
def test_code_that_fits_again_names_the_study(runs, words):
    command, *rest = words
    models = ["nme-mlp", "generic-mlp"] if command == "less-data" else ["nme-mlp-2"]
    assert nme("analyze", command, *(runs / name for name in models), "--study", runs.parent / "study.toml", *rest) == 0
    folder = runs / models[0] / "analyses" / command
    done = subprocess.run([sys.executable, str(folder / "snippet.py")], capture_output=True, text=True, check=True)
    assert done.stdout == (folder / "text.md").read_text()


def test_nothing_in_a_recipe_becomes_code(runs):
    recipe = Recipe(
        command="hsic",
        options={"value": '"); import os; ("', "unit": "person", "permutations": 9, "seed": 1},
        runs=(),
    )
    assert "'\"); import os; (\"'" in snippet(recipe, "run")
    with pytest.raises(RunFolderError, match="E404"):
        snippet(Recipe(command="rm"), "run")
    with pytest.raises(RunFolderError, match="E401"):
        snippet(Recipe(command="hsic"), "run")
    others = {"split": 0, "method": 0, "resamples": 0, "seed": 1}
    with pytest.raises(RunFolderError, match="E401"):
        snippet(Recipe(command="variance", options={"unit": {1, 2}, **others}))
    mapping = snippet(Recipe(command="variance", options={"unit": {'"); import os': 'x"); os'}, **others}))
    assert "{'\"); import os': 'x\"); os'}" in mapping


def test_analyses_that_cannot_be_read_are_named(runs, tmp_path):
    run = load_run(runs / "nme-mlp")
    copy = type(run)(path=tmp_path, manifest=run.manifest)
    assert kept_analyses(copy) == []
    folder = tmp_path / "analyses" / "hsic-score"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"E401.*hsic-score"):
        kept_analyses(copy)
    (folder / "result.json").write_text("{}")
    pd.DataFrame({"a": np.zeros(1)}).to_parquet(folder / "table.parquet")
    (folder / "text.md").write_text("One.\n\nTwo.\n")
    assert (kept_analyses(copy)[0].apa, kept_analyses(copy)[0].recipe) == ("Two.", None)
    (folder / "made_with.json").write_text('{"format": 9}')
    with pytest.raises(RunFolderError, match="E404"):
        kept_analyses(copy)


def test_paths_far_away_are_told_by_name_only(runs):
    run = load_run(runs / "nme-mlp")
    assert near(run, runs.parent / "study.toml") == "../../study.toml"
    assert near(run, Path("/somewhere/else/entirely/of/anna/study.toml")) == "study.toml"


def test_every_kind_of_analysis_is_covered():
    ours = {"hsic", "differences", "differences-pairs", "plausible", "slopes", "base-rates", "baseline", "variance",
            "drivers", "comparison", "stability", "multiverse", "power", "less-data"}  # fmt: skip
    assert set(PARTS) >= ours | {"group-test", "bias-baseline"}  # those two are tested with dashboard and demonstration
