"""Rows 75 to 78 and 80, and what the dashboard says about the rows that reach it; no name leaves by any way."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import pickle
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from analyses.figures import caterpillar, effect_distributions
from analyses.figures.print_style import inline_svg
from analyses.report.document import Report, ReportFigure, Section, render
from analyses.report.guard import COMPLEMENTARY, SUPPRESSED, csv_bytes
from analyses.report.tables import ReportTable
from app import launcher, views
from app.launcher import MAIN
from tests.bad_input.conftest import STUDY, study_frame
from toolkit import GroupedDataset, SequenceBatch, fit, load_run
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.errors import ConfigError
from toolkit.models import GenericMlp, NmeCrf, NmeMlp
from toolkit.runs import atomic
from toolkit.runs.checkpoint import CheckpointKeeper, checkpoint_folder

FORMULAS = ("=cmd|' /C calc'!A1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "+1+1", "-1+1", " =1", "＝1", "|calc", "%1")
EVIL = "<script>alert(1)</script>"
PAGES = ("", "persons", "one_person", "group_test")
ROLES = {"groups": ["who"], "time": "t", "group": "arm", "cluster": "family"}


def larger_study(small: int = 7, large: int = 23) -> pd.DataFrame:
    """Persons in two arms, of which one is small."""
    rng = np.random.default_rng(2)
    persons = np.repeat(np.arange(small + large), 10)
    return pd.DataFrame(
        {
            "who": [f"Anna-{person}" for person in persons],
            "family": [f"Family-{person}" for person in persons],
            "arm": np.where(persons < small, "0", "1"),
            "t": np.tile(np.arange(10), small + large),
            "x": rng.normal(size=persons.size),
            "mood": rng.normal(size=persons.size) + persons % 3,
            "state": rng.choice(["calm", "tense"], size=persons.size),
        }
    )


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "nme-crf"
    data = SequenceBatch.from_frame(larger_study(), target="state", features=["x"], **ROLES)
    fit(NmeCrf(hidden=(), epochs=10, variance_update="paper"), data, seed=1, out=out)
    return out


@pytest.fixture
def run(chain, tmp_path):
    return Path(shutil.copytree(chain, tmp_path / "runs" / "nme-crf"))


@pytest.fixture
def opened(monkeypatch):
    def open_page(folder: Path, page: str = "") -> AppTest:
        monkeypatch.setenv("NME_RUNS", str(folder))
        at = AppTest.from_file(str(MAIN), default_timeout=60).run()
        if page:
            at = at.switch_page(f"../pages/{page}.py").run()
        assert not at.exception
        return at

    return open_page


@pytest.fixture
def saved_files(monkeypatch):
    """What the save buttons of a page would write, by file name."""
    files: dict[str, bytes] = {}
    original = views._button

    def button(label, content, file_name, mime):
        if file_name.endswith((".csv", ".txt")):
            files[file_name] = content()
        original(label, content, file_name, mime)

    monkeypatch.setattr(views, "_button", button)
    return files


def shown(at: AppTest) -> str:
    kinds = (at.markdown, at.caption, at.info, at.error, at.warning, at.success, at.code, at.subheader, at.header)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def cells(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("text", FORMULAS)
def test_row_75_a_formula_in_a_cell_or_a_header_is_text(text):
    frame = pd.DataFrame({text: [text, "safe"], "number": [-1.5, 2], "second": pd.Categorical([text, "safe"])})
    header, first, second = cells(csv_bytes(frame))
    assert header == ["'" + text, "number", "second"]
    assert first == ["'" + text, "-1.5", "'" + text]
    assert second == ["safe", "2.0", "safe"]


def test_row_75_numbers_stay_numbers_also_under_equal_names():
    frame = pd.DataFrame([[-1.5, -2, "-3", None], [1e-20, 5, "x", 4.0]], columns=["a", "a", "b", "c"])
    header, *rows = cells(csv_bytes(frame))
    assert header == ["a", "a", "b", "c"]
    assert rows == [["-1.5", "-2", "'-3", ""], ["1e-20", "5", "x", "4.0"]]
    assert cells(csv_bytes(frame.iloc[:0])) == [header]


@pytest.mark.slow
def test_row_75_command_line(tmp_path, command):
    names = {"calm": "=cmd|calc", "tense": "@SUM(1)", "sad": "-1+1"}
    frame = study_frame().assign(state=lambda f: f["state"].map(names))
    frame.to_csv(tmp_path / "data.csv", index=False)
    (tmp_path / "study.toml").write_text(STUDY.replace('["calm", "tense", "sad"]', json.dumps(list(names.values()))))
    words = ("--model", "nme-crf", "--epochs", 3, "--set", "variance_update=paper", "--out", tmp_path / "run")
    assert command("fit", tmp_path / "study.toml", *words)[0] == 0
    assert command("predict", tmp_path / "run", tmp_path / "study.toml", "--out", tmp_path / "out.csv")[0] == 0
    header, *rows = cells((tmp_path / "out.csv").read_bytes())
    place = header.index("prediction")
    assert {row[place] for row in rows} <= {"'" + name for name in names.values()}
    assert all(np.isfinite(float(row[header.index("probability_-1+1")])) for row in rows)


@pytest.mark.slow
def test_row_75_dashboard(run, opened, saved_files):
    persons = pd.read_parquet(run / "persons.parquet")
    rewrite(run, "persons", persons.assign(group=persons["group"].map({"0": "=1+1", "1": "@SUM(1)"})))
    at = opened(run.parent, "persons")
    assert not at.error
    header, *rows = cells(saved_files["effects-by-group.csv"])
    assert {row[header.index("group")] for row in rows} == {"'=1+1", "'@SUM(1)"}


def rewrite(run: Path, name: str, table: pd.DataFrame) -> None:
    """Replace a table of a run, and its checksum."""
    table.to_parquet(run / f"{name}.parquet", index=False)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["files"][f"{name}.parquet"] = atomic.sha256(run / f"{name}.parquet")
    (run / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.slow
def test_row_76_dashboard_a_small_group_and_the_next_are_not_saved(run, opened, saved_files):
    at = opened(run.parent, "persons")
    assert "suppressed in the file" in shown(at)
    header, *rows = cells(saved_files["effects-by-group.csv"])
    found = {row[header.index("group")]: row for row in rows}
    assert {name: row[header.index("persons")] for name, row in found.items()} == {"0": SUPPRESSED, "1": COMPLEMENTARY}
    for row in rows:
        assert {row[header.index(name)] for name in ("median", "lower_quartile", "reliability")} == {COMPLEMENTARY}


def test_row_76_command_line(tmp_path, command):
    larger_study().to_csv(tmp_path / "data.csv", index=False)
    (tmp_path / "study.toml").write_text(STUDY.replace('["x", "y"]', '["x"]').replace(', "sad"', ""))
    code, out, _ = command("describe", tmp_path / "study.toml", "--html", tmp_path / "page.html", "--json")
    assert code == 0
    assert json.loads(out)["group_sizes"] == {"0": SUPPRESSED, "1": COMPLEMENTARY}
    page = (tmp_path / "page.html").read_text()
    assert "&lt;11" in page
    assert "Anna" not in page


def test_row_77_report(evil_run):
    run = load_run(evil_run / "runs" / "nme-crf")
    effects = run.random_effects()
    frame = caterpillar.tidy(effects, run.persons(), str(effects["parameter"].iloc[0]))
    svg = inline_svg(effect_distributions.print_figure(effect_distributions.tidy(frame)))
    figure = ReportFigure(svg=svg, alt=EVIL, title=EVIL, note=EVIL)
    table = ReportTable(frame=run.persons().rename(columns={"cluster": EVIL}), title=EVIL)
    section = Section(title=EVIL, text=[EVIL], apa=[EVIL], code=EVIL, note=EVIL, figure=figure, table=table)
    page = render(Report(title=EVIL, subtitle=EVIL, blocks=[section]))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10


@pytest.fixture(scope="module")
def evil_run(tmp_path_factory):
    """A run of a study whose person, family, group, state and column names are tags."""
    home = tmp_path_factory.mktemp("evil")
    frame = larger_study(12, 12).assign(
        who=lambda f: EVIL + f["who"], state=lambda f: f["state"].replace({"calm": EVIL}),
        arm=lambda f: f["arm"].replace({"0": EVIL}), family=lambda f: f["family"] + EVIL,
    ).rename(columns={"x": EVIL, "arm": "arm" + EVIL})  # fmt: skip
    frame.to_csv(home / "data.csv", index=False)
    roles = {"arm": "arm" + EVIL, "x": EVIL, "calm": EVIL}
    text = STUDY.replace(', "y"]', "]").replace(', "sad"', "").replace("Small study", EVIL)
    for old, new in roles.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    (home / "study.toml").write_text(text)
    words = ["fit", str(home / "study.toml"), "--model", "nme-crf", "--epochs", "5"]
    words += ["--set", "variance_update=paper", "--out", str(home / "runs" / "nme-crf")]
    assert plain_errors(lambda: app(words, standalone_mode=False)) == 0
    return home


@pytest.mark.parametrize(
    "page", [case if case != "group_test" else pytest.param(case, marks=pytest.mark.slow) for case in PAGES]
)
def test_row_77_dashboard(evil_run, opened, page):
    at = opened(evil_run / "runs", page)
    assert not at.error
    raw = "\n".join(str(element.value) for kind in (at.markdown, at.caption, at.subheader) for element in kind)
    assert "<script>" not in raw.replace(r"\<script\>", "")
    for chart in at.get("plotly_chart"):
        assert "<script>" not in json.dumps(json.loads(chart.proto.spec), ensure_ascii=False)


def test_row_77_command_line(evil_run, tmp_path, command):
    assert command("describe", evil_run / "study.toml", "--html", tmp_path / "page.html")[0] == 0
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5", "localhost.example.org", "127.0.0.1.example.org"])
def test_row_78_an_address_others_can_reach(address, command, monkeypatch):
    monkeypatch.setattr(launcher.subprocess, "Popen", lambda *_, **__: pytest.fail("the server was started"))
    with pytest.raises(ConfigError, match=r"E302.*this computer only") as caught:
        launcher.launch([], 8510, address=address)
    assert caught.value.column == "address"
    code, _, err = command("app", "--address", address, "--no-browser")
    assert code == 2
    assert err.startswith("nme: E302")
    assert err.count("\n") == 1
    assert "--allow-network" in err


def test_row_78_with_the_flag_it_listens(command, monkeypatch):
    started: list[list[str]] = []

    class Ended:
        def __init__(self, words, env):
            started.append(words)

        def wait(self):
            return 0

    monkeypatch.setattr(launcher.subprocess, "Popen", Ended)
    code, _, _ = command("app", "--address", "0.0.0.0", "--allow-network", "--no-browser")
    assert code == 0
    assert "--server.address=0.0.0.0" in started[0]
    assert command("app", "--no-browser")[0] == 0
    assert "--server.address=127.0.0.1" in started[1]


def test_row_55_dashboard(run, opened, monkeypatch, tmp_path):
    data = GroupedDataset.from_frame(larger_study(), target="mood", features=["x"], **ROLES)
    with pytest.warns(match="E301"):
        fit(GenericMlp(hidden=(2,), lr=1e200, epochs=5), data, seed=1, out=tmp_path / "lost" / "run")
    at = opened(tmp_path / "lost")
    text = "\n".join(str(element.value) for element in at.warning).replace("\\", "")
    assert "did not settle" in text
    assert "learning rate" in text


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "damage",
    [
        "row 64 cut short",
        pytest.param("row 64 html", marks=pytest.mark.slow),
        pytest.param("row 65", marks=pytest.mark.slow),
        "row 66",
        pytest.param("row 67", marks=pytest.mark.slow),
        "row 80",
    ],
)
def test_rows_64_to_67_and_80_dashboard(run, opened, tmp_path, monkeypatch, page, damage):
    monkeypatch.chdir(tmp_path)
    table, manifest = run / "persons.parquet", run / "manifest.json"
    content = table.read_bytes()
    half = len(content) // 2
    if damage == "row 64 html":
        table.write_bytes(b"<html>Anna</html>")
    elif damage == "row 64 cut short":
        table.write_bytes(content[:half])
    elif damage == "row 65":
        table.write_bytes(content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :])
    elif damage == "row 66":
        table.write_bytes(pickle.dumps(_Bomb()))
    elif damage == "row 67":
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema_version": 99}))
    else:
        monkeypatch.setattr(Path, "read_bytes", _forbidden)
    at = opened(run.parent, page)
    assert len(at.error) == 1
    assert "Anna" not in shown(at)
    assert "Traceback" not in shown(at)
    assert not (tmp_path / "opened").exists()


class _Bomb:
    def __reduce__(self):
        return os.mkdir, ("opened",)


def _forbidden(path: Path) -> bytes:
    raise PermissionError(13, "Permission denied", str(path))


def test_row_66_dashboard_a_pickle_typed_as_a_run(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pt").write_bytes(pickle.dumps(_Bomb()))
    at = opened(tmp_path)
    at.text_input(key="folder").set_value(str(tmp_path / "model.pt"))
    at.button[0].click().run()
    assert "There is no run in this folder" in at.error[0].value
    assert not (tmp_path / "opened").exists()


def test_row_80_dashboard_a_run_that_vanishes_while_it_is_open(run, opened):
    at = opened(run.parent, "persons")
    shutil.rmtree(run)
    at.run()
    assert not at.exception
    assert "Traceback" not in shown(at)


@pytest.mark.parametrize("fault", ["row 60", pytest.param("row 61", marks=pytest.mark.slow)])
def test_rows_60_and_61_dashboard_a_result_that_cannot_be_kept(fault, opened, tmp_path, monkeypatch):
    run = tmp_path / "runs" / "nme-crf"
    data = SequenceBatch.from_frame(larger_study(12, 12), target="state", features=["x"], **ROLES)
    fit(NmeCrf(hidden=(), epochs=5, variance_update="paper"), data, seed=1, out=run)
    monkeypatch.setattr("app.jobs.PATIENCE", 30.0)
    at = opened(run.parent, "group_test")
    at.main.selectbox(key="permutations").set_value(999)
    if fault == "row 61":
        (run / "analyses").write_text("in the way")
    else:
        monkeypatch.setattr("toolkit.runs.atomic.os.fsync", _no_room)
    at.button[0].click().run()
    assert not at.exception
    said = "\n".join(str(element.value) for element in at.warning)
    assert ("disk is full" if fault == "row 60" else "may not be written") in said
    assert at.get("plotly_chart")


def _no_room(_: int) -> None:
    raise OSError(28, "No space left on device")


PLANTED = "Zoltán-Secretname"
LOOKED_FOR = ("Zolt", "Secretname")


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A study with a name in ids, families, a text column, a column name and the name of the data file."""
    home, temporary = tmp_path / "study", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    frame = study_frame()
    frame = frame.assign(
        who=PLANTED + frame["who"], family=PLANTED + frame["family"], notes=f"said {PLANTED}", **{PLANTED: "text"}
    )
    frame.to_csv(home / f"{PLANTED}.csv", index=False)
    (home / "study.toml").write_text(STUDY.replace("data.csv", f"{PLANTED}.csv"), encoding="utf-8")
    return home


def assert_nowhere(*places: Path | str) -> None:
    """The planted name is in no text, file name or file; the key file and the data are where it belongs."""
    for place in places:
        if isinstance(place, str):
            assert not any(word in place for word in LOOKED_FOR)
            continue
        for path in (entry for entry in place.rglob("*") if not entry.name.endswith(".key.csv")):
            assert not any(word in path.name for word in LOOKED_FOR), path
            content = path.read_bytes() if path.is_file() else b""
            assert not any(word.encode() in content for word in LOOKED_FOR), path


CRASHES = {
    "none": None,
    "an error of ours": "E304",
    "a bug": "E900",
    "SIGTERM": "E308",
}


@pytest.mark.parametrize(
    "crash", [case if case == "none" else pytest.param(case, marks=pytest.mark.slow) for case in CRASHES]
)
def test_a_planted_name_is_in_no_log_file_or_export(planted, tmp_path, command, monkeypatch, caplog, crash):
    caplog.set_level(logging.DEBUG)
    runs, out = tmp_path / "runs", tmp_path / "predictions.csv"
    words = ("fit", planted / "study.toml", "--model", "nme-mlp", "--epochs", 25, "--out", runs / "run")
    original = CheckpointKeeper.epoch_ended

    def ended(keeper, descent):
        if descent.epoch == 20 and crash == "SIGTERM":
            os.kill(os.getpid(), signal.SIGTERM)
        original(keeper, descent)
        if descent.epoch == 20 and crash == "a bug":
            raise ValueError(f"could not convert {PLANTED}")
        if descent.epoch == 20 and crash == "an error of ours":
            with atomic.enough_room("the checkpoint", "make room"):
                raise OSError(28, "No space left", f"/home/{PLANTED}")

    said = []
    with monkeypatch.context() as patched:
        patched.setattr(CheckpointKeeper, "epoch_ended", ended)
        _, output, error = command(*words)
        said += [output, error]
    if CRASHES[crash] is not None:
        assert CRASHES[crash] in error
        assert checkpoint_folder(runs / "run").exists()
        assert_nowhere(runs, tmp_path / "temporary", *said)
        assert command(*words, "--resume")[0] == 0
    for more in (("verify",), ("analyze", "variance"), ("analyze", "baseline")):
        said += command(*more, runs / "run", *(("--resamples", 200) if more[0] == "analyze" else ()))[1:]
    assert command("predict", runs / "run", planted / "study.toml", "--out", out)[0] == 0
    assert_nowhere(runs, tmp_path / "temporary", caplog.text, out.read_text(encoding="utf-8"), *said)
    assert load_run(runs / "run").persons()["person"].str.fullmatch(r"P\d+").all()


@pytest.mark.slow
def test_a_planted_name_is_in_no_imported_study_its_runs_and_predictions(planted, tmp_path, command, monkeypatch):
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))
    table, study, runs = planted / f"{PLANTED}.csv", tmp_path / "imported", tmp_path / "runs"
    roles = ("--person", "who", "--cluster", "family", "--group", "arm", "--time", "t", "--sequence", "-")
    roles += ("--state", "state", "--target", "mood", "--feature", "x", "--feature", "y", "--yes")
    said = command("import", table, "--out", study, *roles)
    assert said[0] == 0
    fitted = command("fit", study / "study.toml", "--epochs", 5, "--out", runs / "run")
    assert fitted[0] == 0
    words = ("predict", runs / "run", study / "study.toml", "--out", runs / "own.csv")
    assert command(*words)[0] == 0
    # new rows hold the ids as they are: they are the same persons, and leave as pseudonyms
    words = ("predict", runs / "run", study / "study.toml", "--data", table, "--out", runs / "new.csv")
    assert command(*words, "--strict")[0] == 0
    assert (runs / "new.csv").read_bytes() == (runs / "own.csv").read_bytes()
    assert_nowhere(study, runs, tmp_path / "temporary", *said[1:], *fitted[1:])
    shutil.rmtree(tmp_path / "keys")
    code, _, error = command(*words, "--overwrite")
    assert code == 2
    assert "E100" in error


@pytest.mark.slow
def test_a_planted_name_is_in_no_page_address_or_log_of_the_dashboard(
    planted, tmp_path, command, opened, saved_files, caplog, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    runs = tmp_path / "runs"
    words = ("--model", "nme-crf", "--epochs", 5, "--set", "variance_update=paper", "--out", runs / "nme-crf")
    assert command("fit", planted / "study.toml", *words)[0] == 0
    for page in PAGES:
        at = opened(runs, page)
        tables = "".join(table.value.to_csv() for table in at.dataframe)
        charts = "".join(chart.proto.spec for chart in at.get("plotly_chart"))
        assert_nowhere(shown(at), tables, charts, str(dict(at.query_params)))
    assert saved_files
    assert_nowhere(*(content.decode("utf-8-sig") for content in saved_files.values()), *saved_files)

    def crash(*_: object, **__: object) -> None:
        raise ValueError(f"could not convert {PLANTED}")

    monkeypatch.setattr("app.views.header", crash)
    at = opened(runs, "persons")
    assert at.error
    assert "ValueError" in caplog.text  # the kind and place of a fault, not its message
    assert_nowhere(shown(at), caplog.text, tmp_path / "temporary")


@pytest.mark.slow
def test_a_planted_name_in_a_fit_from_python(tmp_path, monkeypatch):
    """Labels of one's own become pseudonyms in the run folder; the key lies outside, for its owner only."""
    frame = study_frame()
    frame = frame.assign(who=PLANTED + frame["who"], family=PLANTED + frame["family"])
    data = GroupedDataset.from_frame(frame, target="mood", features=["x"], **ROLES)
    fit(NmeMlp(hidden=(2,), epochs=12), data, seed=1, out=tmp_path / "run")
    assert_nowhere(tmp_path)
    key = tmp_path / "run.key.csv"
    assert key.stat().st_mode & 0o777 == 0o600
    assert PLANTED in key.read_text(encoding="utf-8")
