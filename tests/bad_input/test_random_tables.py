"""Whatever a table holds, the answer is a study or a sentence: no traceback, and no word of a cell."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from toolkit import GroupedDataset, SequenceBatch
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.data.readers import KINDS, read_table
from toolkit.errors import DataError, ToolkitWarning

MARK = "Xanthippe"
NUMBER = 8675309.25  # stands for a value nobody else should see
NAMES = [
    "id",
    "person",
    "family",
    "group",
    "time",
    "day",
    "state",
    "mood",
    "x",
    "x2",
    "remarks",
    "ä b",
    "a,b",
    "=cmd",
    "",
]

plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=4)
words = st.one_of(
    plain.map(lambda text: f"{MARK}{text}"),
    st.sampled_from([f"{MARK} ", f'{MARK}"', f"{MARK},1", f"{MARK};", f"{MARK}\n", f"=cmd|{MARK}", f"<b>{MARK}</b>"]),
)
numbers = st.one_of(st.just(NUMBER), st.integers(-99, 99), st.floats(allow_nan=True, allow_infinity=True), st.just(-99))
odd = st.sampled_from(
    [None, "", " ", "NA", "1,5", "1.234.567,8", "01/02/2026", "1e400", "007", True, "#REF!", "12345678901234567"]
)
CELLS = {
    "words": words,
    "numbers": numbers,
    "whole": st.integers(0, 5),
    "few": st.sampled_from(["a", "b"]),
    "odd": odd,
    "mixed": st.one_of(words, numbers, odd),
}


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=7, unique=draw(st.integers(0, 9)) > 0))
    rows = draw(st.integers(0, 12))
    columns = []
    for _ in names:
        kind = draw(st.sampled_from(sorted(CELLS)))
        columns.append(draw(st.lists(CELLS[kind], min_size=rows, max_size=rows)))
    if draw(st.booleans()):  # otherwise hardly any table gets past the persons
        ids = st.sampled_from(["p1", "P1", f"{MARK}", f"{MARK} ", "007", "7"])
        names, columns = ["person", *names], [draw(st.lists(ids, min_size=rows, max_size=rows)), *columns]
    frame = pd.DataFrame(dict(enumerate(columns)), dtype=object).set_axis(names, axis=1)
    repeats = draw(st.integers(1, 3))
    return pd.concat([frame] * repeats, ignore_index=True)


def clean(shown: str) -> None:
    assert MARK not in shown
    assert "8675309" not in shown
    assert "Traceback" not in shown


def no_cause(error: DataError) -> None:
    """The words of other libraries do not travel with ours."""
    assert error.__cause__ is None


def run(*arguments: object, numbers: bool = False) -> int:
    """A command; its exit code. What it prints holds no cell; ``numbers`` may be summed up."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = plain_errors(lambda: app([str(word) for word in arguments], standalone_mode=False))
    shown = out.getvalue() + err.getvalue()
    clean(shown.replace("8675309", "") if numbers else shown)
    assert code in (0, 2), err.getvalue()
    event(f"{arguments[0]}: {err.getvalue()[5:9] if code else 'done'}")
    return code


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        os.environ["NME_KEYS"] = str(Path(name) / "keys")
        yield Path(name)
        del os.environ["NME_KEYS"]


@pytest.mark.slow
@given(
    tables(),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    st.sampled_from([".", ","]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_csv_is_imported_and_checked_or_refused_in_a_sentence(folder, frame, separator, encoding, decimal):
    path, out = folder / f"{MARK}.csv", folder / "study"
    shutil.rmtree(out, ignore_errors=True)
    text = frame.to_csv(index=False, sep=separator, decimal=decimal)
    path.write_bytes(text.encode(encoding, errors="replace"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = run("import", path, "--out", out, "--yes", "--group", "-", "--state", "-")
        if code == 0:
            run("check", out / "study.toml", "--json")
            run("check", out / "study.toml")
            run("describe", out / "study.toml", numbers=True)
            run("split", out / "study.toml", "--design", "random", "--out", folder / "split.parquet")
            assert (out / "study.toml").read_text().count(MARK) == 0


@pytest.mark.slow
@given(tables())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_parquet_and_excel_too(folder, frame):
    import openpyxl

    book = openpyxl.Workbook()
    for row in [list(frame.columns), *frame.to_numpy().tolist()]:
        cells = [None if isinstance(cell, float) and not np.isfinite(cell) else cell for cell in row]
        with contextlib.suppress(Exception):  # control characters
            book.active.append(cells)
    book.save(folder / f"{MARK}.xlsx")
    with contextlib.suppress(Exception):  # mixed columns and names used twice
        frame.to_parquet(folder / f"{MARK}.parquet")
    for ending in ("xlsx", "parquet"):
        path, out = folder / f"{MARK}.{ending}", folder / "other"
        shutil.rmtree(out, ignore_errors=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.exists() and run("import", path, "--out", out, "--yes", "--group", "-", "--state", "-") == 0:
                run("check", out / "study.toml")


@pytest.mark.slow
@given(tables(), st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_frames_become_data_or_an_error(frame, data):
    column = st.sampled_from(sorted(set(frame.columns)))
    roles = {name: data.draw(column) for name in ("person", "target", "time")}
    features = data.draw(st.lists(column, max_size=3))
    for build, target in ((GroupedDataset.from_frame, "target"), (SequenceBatch.from_frame, "target")):
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                build(frame, groups=[roles["person"]], target=roles[target], time=roles["time"], features=features)
        except DataError as error:
            clean(str(error) + repr(vars(error)))
            no_cause(error)
        for entry in caught:
            if isinstance(entry.message, ToolkitWarning):
                clean(str(entry.message))


@given(st.binary(max_size=300), st.sampled_from(KINDS))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_bytes_are_a_table_or_an_error(folder, content, ending):
    path = folder / f"{MARK}{ending}"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read_table(path)
        except DataError as error:
            clean(str(error) + repr(vars(error)))
            no_cause(error)
