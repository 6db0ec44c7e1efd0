"""The page with every figure: each has words and a command, nothing is loaded, and it stays small."""

from __future__ import annotations

import re

import pytest
from example_run import write_example
from page_reading import LOADING, parsed

from analyses.report import catalogue, gallery
from analyses.report.catalogue import FigureOptions
from analyses.report.gallery import Exhibit, hang, picture, render, write_gallery
from analyses.report.gallery_words import READING
from toolkit.cli.gallery_plan import ORDER, WALLS, exhibits
from toolkit.cli.gallery_runs import fits
from toolkit.errors import RunFolderError
from toolkit.runs.folder import load_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gallery")


@pytest.fixture(scope="module")
def runs(folder):
    models = {"nme-crf-absolute": "nme-crf", "generic-crf-absolute": "generic-crf", "nme-mlp": "nme-mlp"}
    return {name: load_run(write_example(folder / name, model=model)) for name, model in models.items()}


@pytest.fixture(scope="module")
def page(runs, folder):
    return render(exhibits(runs, folder))


def test_every_figure_of_the_catalogue_has_words(page) -> None:
    for name in catalogue.names():
        assert len(READING[name]) > 80, name
        assert f'id="figure-{name}"' in page, name
    assert set(READING) == set(catalogue.names())


def test_every_section_has_a_command_and_a_drawing_or_what_it_needs(page) -> None:
    sections = re.findall(r"<section>.*?</section>", page, flags=re.DOTALL)
    assert len(sections) == len(catalogue.FIGURES)
    drawn = 0
    for section in sections:
        assert re.search(r"<pre>(?:nme [^<]*\n)?nme figure [a-z-]+ ", section)
        if "<svg" in section or "<img" in section:
            drawn += 1
            words = re.search(r'role="img" aria-label="([^"]+)"', section)
            assert words is not None
            assert words[1].strip().endswith(".")
            assert "In words." in section
        else:
            assert "Not drawn here. It needs" in section
    assert drawn >= 15
    assert f"{drawn} of {len(sections)} are shown" in page


def test_the_page_runs_nothing_and_loads_nothing(page) -> None:
    found = parsed(page)
    assert found.scripts == 0
    assert found.handlers == []
    loading = [text for text in LOADING.findall(page) if "data:image/png" not in text]
    assert loading == []
    assert "://" not in re.sub(r'(xmlns(:\w+)?|baseProfile)="[^"]*"', "", page)
    assert len(page.encode()) < gallery.LARGEST_PAGE


def test_no_id_stands_twice(page) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_pseudonyms_are_not_on_the_page_but_for_those_of_commands(page, runs) -> None:
    shown = re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)
    for person in runs["nme-mlp"].persons()["person"].head(12):
        assert person not in shown


def test_figures_with_very_many_points_become_images(runs, monkeypatch) -> None:
    made = catalogue.figure("caterpillar", runs["nme-mlp"], FigureOptions())
    assert picture(made, "a").startswith("<svg")
    monkeypatch.setattr(gallery, "LARGEST_SVG", 10)
    monkeypatch.setattr(gallery, "inline_svg", lambda figure: "<svg>" + " " * 3_000_000 + "</svg>")
    assert picture(made, "a").startswith('<img alt="" src="data:image/png;base64,')


def test_a_figure_that_cannot_be_built_says_what_it_needs(runs) -> None:
    hung = hang(Exhibit(name="gate-map", run=None, command="nme figure gate-map RUN"))
    assert hung.missing == "Not drawn here. It needs a model with experts (pen)."
    assert not hung.picture
    told = hang(Exhibit(name="power", run=runs["nme-crf-absolute"], command="nme figure power RUN"))
    assert "nme analyze power" in told.missing


def test_the_page_is_written_whole_or_not_at_all(tmp_path) -> None:
    path = write_gallery("<html></html>", tmp_path / "new" / "gallery.html")
    assert path.read_text() == "<html></html>"
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError):
        write_gallery("x", tmp_path / "file" / "gallery.html")


def test_every_planned_run_is_fitted() -> None:
    names = {one.name for one in fits(quick=True)}
    for name, wall in WALLS.items():
        assert name in catalogue.names()
        assert {wall.run, *wall.others} <= names
    assert set(ORDER) <= names
