"""Opening things: runs side by side, bundled studies, a file with its roles; every refusal is a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app import import_steps, processes
from app.launcher import MAIN
from toolkit.data.import_source import ImportSource
from toolkit.data.readers import ReadOptions

SECRET = "Zebulon"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NME_STUDIES", str(tmp_path / "studies"))
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))
    (tmp_path / "keys").mkdir()


def start(monkeypatch: pytest.MonkeyPatch, folder: Path, view: str = "") -> AppTest:
    monkeypatch.setenv("NME_RUNS", str(folder))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run()
    if view:
        at.segmented_control(key="start view").set_value(view).run()
    assert not at.exception
    return at


def text(at: AppTest) -> str:
    kinds = (at.markdown, at.caption, at.info, at.error, at.warning, at.success, at.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def diary(path: Path, *, persons: int = 6, gap: bool = False) -> Path:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "participant": np.repeat([f"{SECRET}{number}" for number in range(persons)], 12),
            "arm": np.repeat(["a", "b"], persons * 6),
            "beep": np.tile(np.arange(12), persons),
            "mood": rng.normal(50, 10, persons * 12).round(1),
            "stress": rng.normal(3, 1, persons * 12).round(1),
            "note": "said " + SECRET,
        }
    )
    if gap:
        frame.loc[[3, 8], "stress"] = np.nan
    frame.to_csv(path, index=False)
    return path


def test_runs_stand_side_by_side_and_a_broken_one_gets_a_sentence(runs_folder, tmp_path, monkeypatch) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    monkeypatch.setenv("NME_RUNS", f"{runs_folder}:{tmp_path}")
    at = AppTest.from_file(str(MAIN), default_timeout=30).run()
    at.segmented_control(key="start view").set_value("Runs side by side").run()
    assert not at.exception
    table = at.main.dataframe[0].value
    assert set(table["run"]) == {"families", "generic-crf-absolute", "nme-crf-absolute", "nme-mlp"}
    assert set(table["without"]) != {"–"}
    assert "broken cannot be opened" in text(at)
    at.multiselect(key="runs beside").set_value(["nme-mlp"]).run()
    assert list(at.main.dataframe[0].value["run"]) == ["nme-mlp"]


def test_a_bundled_study_opens_without_a_run(tmp_path, monkeypatch) -> None:
    at = start(monkeypatch, tmp_path, "Bundled studies")
    at.button(key="look panic").click().run()
    assert not at.exception
    assert at.sidebar.selectbox(key="study").value == "Daily anxiety and mood of outpatients with panic attacks"
    assert at.session_state["opened"] is None
    study = at.session_state["opened_study"]
    assert study.data.n_persons > 10
    assert study.notices


@pytest.mark.slow
def test_the_simulated_families_are_written_first(tmp_path, monkeypatch) -> None:
    at = start(monkeypatch, tmp_path, "Bundled studies")
    at.button(key="look dyads").click().run()
    assert not at.exception
    assert (tmp_path / "studies" / "dyads" / "study.toml").is_file()
    assert at.session_state["opened_study"].cluster_name == "family"


def test_fitting_a_bundled_study_is_a_process_that_can_be_cancelled(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(processes.sys, "executable", "/bin/sleep")
    monkeypatch.setattr(processes, "start", lambda key, arguments, label: begun(key, label))

    def begun(key: str, label: str) -> None:
        import subprocess
        import tempfile

        said = tempfile.TemporaryFile()  # noqa: SIM115 - open while the process runs
        known = processes._known()
        known[key] = processes.Process(label, subprocess.Popen(["/bin/sleep", "60"]), said)

    at = start(monkeypatch, tmp_path, "Bundled studies")
    at.button(key="fit emotions").click().run()
    assert "Fitting six models" in at.get("progress")[0].proto.text
    next(button for button in at.button if button.label == "Cancel").click().run()
    assert "cancelled" in text(at)
    assert not at.get("progress")


def test_a_file_becomes_a_study(tmp_path, monkeypatch) -> None:
    file = diary(tmp_path / "diary.csv")
    at = start(monkeypatch, tmp_path, "Import a file")
    at.text_input(key="import path").set_value(str(file)).run()
    assert "72 rows, 6 columns" in text(at)
    preview = at.main.dataframe[1].value
    assert SECRET not in preview.to_csv()
    assert "•••" in preview.to_csv()
    key = str(file)
    assert at.selectbox(key=f"role person {key}").value == "participant"
    assert at.selectbox(key=f"role group {key}").value == "arm"
    assert at.multiselect(key=f"role targets {key}").value == ["mood"]
    assert "Nothing keeps" not in text(at)
    next(button for button in at.button if button.label == "Check these roles").click().run()
    assert "6 persons, 72 rows" in text(at)
    assert "Nothing keeps a model from being fitted" in text(at)
    at.text_input(key="import title").set_value("Winter diary")
    next(button for button in at.button if button.label == "Make the study").click().run()
    assert not at.exception
    assert "72 rows of 6 persons" in text(at)
    folder = tmp_path / "studies" / "winter-diary"
    assert SECRET not in (folder / "study.toml").read_text()
    assert SECRET.encode() not in (folder / "data.parquet").read_bytes()
    assert len(list((tmp_path / "keys").glob("*.key.csv"))) == 1
    assert SECRET not in text(at)
    assert at.session_state["opened_study"].title == "Winter diary"
    assert at.session_state["opened_study"].data.n_persons == 6


def test_a_corrected_role_and_a_fault_with_its_rows(tmp_path, monkeypatch) -> None:
    file = diary(tmp_path / "diary.csv", gap=True)
    at = start(monkeypatch, tmp_path, "Import a file")
    at.text_input(key="import path").set_value(str(file)).run()
    at.multiselect(key=f"role features {file}").set_value(["stress"])
    at.selectbox(key=f"role group {file}").set_value("–")
    next(button for button in at.button if button.label == "Check these roles").click().run()
    findings = at.main.dataframe[2].value
    row = findings[findings["code"] == "E111"].iloc[0]
    assert row["rows"] == "5, 10"
    assert row["column"] == "stress"
    assert "must be corrected" in text(at)
    assert at.selectbox(key=f"role group {file}").value == "–"


@pytest.mark.parametrize("content", [b"", b"a,b\n", b"PK\x03\x04junk", b'a,b\n1,"x\n', b"a,a\n1,2\n"])
def test_a_file_that_is_no_table_gets_a_sentence(tmp_path, monkeypatch, content) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    at = start(monkeypatch, tmp_path, "Import a file")
    at.text_input(key="import path").set_value(str(tmp_path / "bad.csv")).run()
    assert at.error[0].value.startswith("E10")
    assert "--" not in at.error[0].value


def test_a_path_that_is_not_there(tmp_path, monkeypatch) -> None:
    at = start(monkeypatch, tmp_path, "Import a file")
    at.text_input(key="import path").set_value(str(tmp_path / "nowhere.csv")).run()
    assert "E100" in at.error[0].value


def test_an_uploaded_file_lies_under_a_name_of_ours() -> None:
    file = import_steps.brought(b"id,x\n1,2\n1,3\n2,4\n2,5\n", f"../../{SECRET}.csv")
    assert SECRET not in str(file.path)
    assert file.path.name == "table.csv"
    assert file.path.stat().st_mode & 0o077 == 0
    assert ImportSource.open(file.path, ReadOptions()).rows == 4
    assert import_steps.brought(b"x", "CON").path.name == "table.unknown"


def test_folder_names_are_plain() -> None:
    assert import_steps.folder_name("Zoë’s / Diary: 2026") == "zo-s-diary-2026"
    assert import_steps.folder_name("../..") == "study"
