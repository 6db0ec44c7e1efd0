"""Every figure of the catalogue: built from a run, drawn at every size, said in words; bad wishes are refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from drawn import faults
from example_run import CRF_PARAMETERS, write_example

from analyses.figures.presets import PRESETS, Sheet, sheet
from analyses.figures.print_style import print_canvas, print_settings
from analyses.report import catalogue
from analyses.report.catalogue import FigureOptions
from analyses.report.catalogue.run_parts import NOT_SHOWN
from toolkit.errors import ConfigError, DataError, RunFolderError
from toolkit.runs.folder import load_run

GROUPS = ("in care, 0 < θ", "not in care")
OF_STATES = (
    "caterpillar", "distributions", "ridges", "shrinkage", "calibration", "training", "person-matrix", "hsic-null",
    "differences", "group-matrices", "forest", "person-matrices", "network", "sequences", "state-shares", "variance",
)  # fmt: skip
OF_NUMBERS = ("caterpillar", "distributions", "ridges", "shrinkage", "calibration", "baseline", "person-series")
EVERY = [("nme-crf", name) for name in OF_STATES] + [("nme-mlp", name) for name in OF_NUMBERS]
QUICK = {"resamples": 99, "permutations": 99}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        model: load_run(write_example(folder / model, model=model, persons=60, groups=GROUPS))
        for model in ("nme-crf", "nme-mlp", "generic-mlp")
    }


@pytest.fixture(scope="module")
def built(runs):
    return {(model, name): _build(runs[model], name) for model, name in EVERY}


def _build(run, name: str, **more):
    takes = catalogue.entry(name).options
    wanted = {option: value for option, value in QUICK.items() if option in takes}
    if catalogue.entry(name).identifiable:
        wanted["person"] = run.persons()["person"].iloc[5]
    return catalogue.figure(name, run, FigureOptions(**wanted | more))


@pytest.mark.parametrize(("model", "name"), EVERY)
def test_every_figure_has_data_words_and_both_drawings(built, model: str, name: str) -> None:
    made = built[model, name]
    assert len(made.frame)
    assert re.search(r"\d", made.alt)
    assert made.alt.endswith(".")
    assert "nan" not in made.alt
    assert ".." not in made.alt
    assert len(made.screen().data)


@pytest.mark.parametrize(
    "size",
    [
        "89mm",
        pytest.param("slide", marks=pytest.mark.slow),
        pytest.param("183mm", marks=pytest.mark.slow),
        pytest.param("apa", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(("model", "name"), EVERY)
def test_at_final_size_text_is_readable_lines_are_printable_and_all_is_on_the_paper(
    built, model: str, name: str, size: str
) -> None:
    drawn = sheet(built[model, name].print_figure, PRESETS[size])
    assert faults(drawn) == []
    width, height = drawn.size_mm
    assert width == pytest.approx(PRESETS[size].width_mm, abs=0.1)
    assert height < 250
    if size == "slide":
        assert width / height == pytest.approx(16 / 9, rel=1e-3)


def test_the_check_of_the_paper_finds_what_is_wrong() -> None:
    figure = print_canvas(50.0, 50.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], linewidth=0.3, alpha=0.5)
    figure.text(0.9, 0.5, "far too long to stand on this paper", fontsize=5)
    said = " ".join(faults(Sheet(figure=figure, enlarged=1.0)))
    assert all(word in said for word in ("text of 5.0 pt", "outside the paper", "line of 0.30 pt", "transparent"))
    assert "text of" not in " ".join(faults(Sheet(figure=figure, enlarged=1.25)))


def test_print_settings_leave_no_trace() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    with print_settings():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before


def test_the_same_seed_gives_the_same_figure(runs) -> None:
    first, second = (_build(runs["nme-crf"], "forest", seed=3).frame for _ in range(2))
    assert first.equals(second)
    assert not first.equals(_build(runs["nme-crf"], "forest", seed=4).frame)


def test_an_unknown_name_is_answered_with_near_ones(runs) -> None:
    with pytest.raises(ConfigError, match="caterpillar") as caught:
        catalogue.figure("catterpilar", runs["nme-crf"])
    assert caught.value.code == "E302"
    with pytest.raises(ConfigError, match="the figures are"):
        catalogue.figure("zzz", runs["nme-crf"])


@pytest.mark.parametrize(
    ("name", "asked", "word"),
    [
        ("training", {"seed": 5}, "seed"),
        ("training", {"min_group": 5}, "min-group"),
        ("forest", {"parameter": "x"}, "parameter"),
        ("forest", {"level": 1.0}, "0 and 1"),
        ("forest", {"resamples": 0}, "1 or more"),
        ("caterpillar", {"min_group": 4}, "5 to 21"),
        ("caterpillar", {"min_group": 22}, "5 to 21"),
        ("caterpillar", {"parameter": "layers.9.bias"}, "it has"),
        ("forest", {"value": "guess"}, "probability"),
        ("forest", {"unit": "village"}, "cluster"),
        ("forest", {"settings": {"order": "mood"}}, "state, size"),
        ("forest", {"settings": {"colour": "red"}}, "order"),
        ("network", {"settings": {"threshold": "2"}}, "0 to 1"),
        ("network", {"settings": {"threshold": "much"}}, "0 to 1"),
        ("person-matrix", {}, "pseudonym"),
        ("person-matrix", {"person": "Anna"}, "pseudonym"),
        ("shrinkage", {"parameter": "layers.2.bias"}, "it has"),
    ],
)
def test_options_that_do_not_apply_or_do_not_fit_are_refused(runs, name: str, asked: dict, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        catalogue.figure(name, runs["nme-crf"], FigureOptions(**asked))
    assert caught.value.code == "E302"


def test_what_a_run_lacks_is_said(runs, tmp_path) -> None:
    for name in ("forest", "network", "sequences", "person-matrices"):
        with pytest.raises(RunFolderError, match="chain model"):
            _build(runs["nme-mlp"], name)
    for name in ("caterpillar", "ridges", "shrinkage", "variance"):
        with pytest.raises(RunFolderError, match="no person effects"):
            _build(runs["generic-mlp"], name)
    one = load_run(write_example(tmp_path / "one", persons=20, groups=("all",)))
    with pytest.raises(DataError, match="compares two groups; the run has 1"):
        _build(one, "forest")
    alone = _build(one, "network")
    assert alone.frame["panel"].unique().tolist() == ["All persons (n = 20)"]


@pytest.mark.filterwarnings("ignore::toolkit.errors.ToolkitWarning")  # fourteen persons are few
def test_small_groups_lose_their_name_and_their_averages(tmp_path) -> None:
    run = load_run(write_example(tmp_path / "small", persons=24, groups=GROUPS))  # 7 and 17 persons
    made = _build(run, "caterpillar")
    assert made.frame["group"].unique().tolist() == [NOT_SHOWN]
    assert "not shown" in made.note
    assert set(_build(run, "caterpillar", min_group=5).frame["group"]) == set(GROUPS)
    for name in ("group-matrices", "network"):
        with pytest.raises(DataError, match="fewer than 11 persons") as caught:
            _build(run, name)
        assert caught.value.code == "E124"
    assert len(_build(run, "group-matrices", min_group=5).frame) == 48
    # differences name no group's own values
    assert len(_build(run, "forest").frame) == 16


def test_parameters_are_chosen_by_how_much_persons_differ(runs) -> None:
    run = runs["nme-crf"]
    made = _build(run, "caterpillar")
    parts = run.variance_components().set_index("parameter")["variance"]
    assert made.frame["parameter"].unique().tolist() == [parts[CRF_PARAMETERS].idxmax()]
    asked = _build(run, "caterpillar", parameter=CRF_PARAMETERS[4])
    assert asked.frame["parameter"].unique().tolist() == [CRF_PARAMETERS[4]]
    spread = _build(run, "ridges").frame.query("kind == 'person'").groupby("parameter", sort=False)["x"].std()
    assert spread.is_monotonic_decreasing


def test_clusters_are_shuffled_whole_or_within(tmp_path) -> None:
    whole = load_run(write_example(tmp_path / "whole", persons=40, groups=GROUPS, clusters=True))
    assert len(_build(whole, "hsic-null").frame)
    # twelve persons are in care, so that no family of two is mixed; an odd number mixes one
    mixed = load_run(write_example(tmp_path / "mixed", persons=50, groups=GROUPS, clusters=True))
    assert len(_build(mixed, "hsic-null").frame)
    assert len(_build(mixed, "hsic-null", unit="person").frame)


def test_names_and_entries_agree() -> None:
    assert len(set(catalogue.names())) == len(catalogue.names())
    for item in catalogue.FIGURES:
        assert item.title
        assert item.needs
        assert not item.title.endswith(".")
        unknown = set(item.options) - set(FigureOptions.__dataclass_fields__)
        assert not unknown
        assert np.all([re.fullmatch(r"[a-z][a-z0-9-]*", item.name)])
