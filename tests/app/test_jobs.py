"""Long analyses: a bar and a way to stop, one session each, and results that are found again."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from example_run import write_example
from slow_work import CALLS, GATE, slow
from streamlit.testing.v1 import AppTest

from analyses.hsic import hsic_test
from analyses.report import kept_records
from app import jobs, keeping
from app.state import OpenRun
from toolkit.runs.folder import load_run
from toolkit.runs.kept import Recipe


def script() -> None:
    import streamlit as st
    from slow_work import slow

    from app import jobs

    name = st.text_input("name", "first", key="name")
    found = jobs.job(("slow", name), lambda: slow(name), label="Counting")
    if found is not None:
        st.markdown(found)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(jobs, "PATIENCE", 0.05)
    GATE.clear()
    CALLS.clear()
    return AppTest.from_function(script, default_timeout=10)


def until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_a_bar_then_the_result_and_nothing_twice(at: AppTest) -> None:
    at.run()
    assert "Counting" in at.get("progress")[0].proto.text
    at.run()
    assert CALLS == ["first"]
    GATE.set()
    until(lambda: not any(thread.name == "analysis" for thread in threading.enumerate()))
    at.run()
    assert at.markdown[0].value == "result of first"
    assert not at.get("progress")
    at.run()
    assert CALLS == ["first"]


def test_cancel_stops_the_thread_and_offers_to_start_again(at: AppTest) -> None:
    at.run()
    at.button[0].click().run()
    assert "cancelled" in at.info[0].value
    until(lambda: not any(thread.name == "analysis" for thread in threading.enumerate()))
    GATE.set()
    at.button[0].click().run()
    assert at.markdown[0].value == "result of first"


def test_other_settings_stop_the_job_before(at: AppTest) -> None:
    at.run()
    at.text_input(key="name").set_value("second").run()
    until(lambda: sum(thread.name == "analysis" for thread in threading.enumerate()) == 1)
    assert CALLS == ["first", "second"]
    GATE.set()


def test_a_closed_window_stops_its_job_and_two_windows_share_nothing(at: AppTest) -> None:
    at.run()
    other = AppTest.from_function(script, default_timeout=10).run()
    assert CALLS == ["first", "first"]
    assert not other.markdown
    GATE.set()
    until(lambda: not any(thread.name == "analysis" for thread in threading.enumerate()))


@pytest.mark.slow
def test_a_thread_without_its_window_is_stopped() -> None:
    window = jobs._Window()
    GATE.clear()
    job = jobs.Job(lambda: slow("left"), "Counting", window).start()
    del window
    gc.collect()
    job.wait(5)
    assert job.cancelled
    assert not job.running


@pytest.fixture
def run(tmp_path: Path) -> OpenRun:
    return OpenRun(load_run(write_example(tmp_path / "nme-crf", persons=20)))


def test_a_kept_result_is_found_again_whole(run: OpenRun) -> None:
    rng = np.random.default_rng(1)
    made = hsic_test(rng.normal(size=(20, 3)), np.arange(20) % 2, permutations=199, rng=rng)
    options = {"permutations": 199, "seed": 1, "value": "observed", "unit": "person", "groups": ["a", "b"]}
    keep = keeping.Keep(run, "hsic-test", Recipe(command="hsic", options=options))
    assert keeping.found(keep) is None
    assert keeping.keep_result(keep, made)
    found = keeping.found(keep)
    assert found.text() == made.text()
    assert np.array_equal(found.null, made.null)
    assert not found.null.flags.writeable
    other = keeping.Keep(run, "hsic-test", Recipe(command="hsic", options=options | {"seed": 2}))
    assert keeping.found(other) is None
    (run.path / "manifest.json").write_text((run.path / "manifest.json").read_text() + " ")
    assert keeping.found(keep) is None


def test_a_folder_that_cannot_be_written_loses_nothing(run: OpenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(keeping, "keep_analysis", refuse)
    keep = keeping.Keep(run, "x", Recipe(command="hsic"))
    assert keeping.kept_after(lambda: "result", keep)() == "result"


@dataclass(frozen=True)
class Foreign:
    """A record of nobody's."""

    value: int = 1


def test_records_of_others_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        kept_records.write_record(tmp_path, Foreign(), run_hash="h")
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", None]})
    odd = {"nan": float("nan"), ("a", 1): [1, None], "frame": frame, "labels": np.array(["p", None], dtype=object)}
    kept_records.write_record(tmp_path, odd, run_hash="h")
    recipe = Recipe(command="hsic")
    (tmp_path / "made_with.json").write_text(__import__("json").dumps(recipe.as_data()))
    found = kept_records.read_record(tmp_path, recipe=recipe, run_hash="h")
    assert np.isnan(found["nan"])
    assert found[("a", 1)] == [1, None]
    pd.testing.assert_frame_equal(found["frame"], frame)
    assert found["labels"].tolist() == ["p", None]
    text = (tmp_path / "record.json").read_text()
    for name in ("os:system", "subprocess:Popen", "app.jobs:Job"):
        bad = text.replace(text[text.index('"value": ') :], f'"value": {{"record": "{name}", "fields": {{}}}}}}')
        (tmp_path / "record.json").write_text(bad)
        assert kept_records.read_record(tmp_path, recipe=recipe, run_hash="h") is None
