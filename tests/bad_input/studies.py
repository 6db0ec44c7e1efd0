"""A small study, and the ways in which its file can be bad: one case per line of the table of bad input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd

PLANTED = "Zoltán-Secretname"  # stands for a patient's name: nothing that is shown may hold it
ROLES = {
    "person": "person",
    "group": "arm",
    "cluster": "family",
    "time": "t",
    "targets": ["mood", "state"],
    "features": ["x", "z"],
    "state": "state",
    "states": ["calm", "tense"],
}
Content = str | bytes | Callable[[Path], object]


def good(persons: int = 12, rows: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    count = persons * rows
    person = np.repeat(np.arange(persons), rows)
    return pd.DataFrame(
        {
            "person": [f"p{k}" for k in person],
            "family": [f"f{k // 2}" for k in person],
            "arm": np.where(person % 2, "treated", "waiting"),
            "t": np.tile(np.arange(rows), persons),
            "x": rng.normal(size=count).round(3),
            "z": rng.normal(size=count).round(3),
            "mood": rng.normal(size=count).round(3),
            "state": rng.choice(["calm", "tense"], size=count),
        }
    )


def csv(change: Callable[[pd.DataFrame], pd.DataFrame], **options: object) -> str:
    """The good study with a change, as csv; cells may become anything."""
    return change(good().astype(object)).infer_objects().to_csv(index=False, **options)  # pyright: ignore[reportCallIssue, reportArgumentType]


def cell(column: str, value: object, *rows: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Put a value into some rows (from 0) of a column."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[list(rows or (2,)), column] = value
        return frame

    return change


def column(name: str, values: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Put values into a whole column, made if it is new."""
    return lambda frame: frame.assign(**{name: values})


def excel(*sheets: str, error: bool = False) -> Callable[[Path], object]:
    """The good study as a workbook, in each of some sheets."""

    def write(path: Path) -> None:
        book = openpyxl.Workbook()
        book.remove(book.active)
        for name in sheets:
            sheet = book.create_sheet(name)
            frame = good()
            for row in [list(frame.columns), *frame.astype(object).to_numpy().tolist()]:
                sheet.append(row)
            if error:
                sheet["E4"] = "#REF!"
        book.save(path)

    return write


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One bad study.

    Attributes:
        row: of the table of bad input.
        name: what is bad.
        content: text or bytes of the file, or a function that writes it.
        code: expected; a W code leaves the study usable.
        rows: spreadsheet rows the finding names; not compared if empty.
        column: the finding names; not compared if None.
        roles: other roles than the good study's.
        data: further keys of [data].
        file: name of the data file.
    """

    row: int
    name: str
    content: Content
    code: str
    rows: tuple[int, ...] = ()
    column: str | None = None
    roles: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)
    file: str = "data.csv"

    def write(self, folder: Path) -> Path:
        """Write file and study.toml; returns the latter."""
        path = folder / self.file
        if callable(self.content):
            self.content(path)
        else:
            path.write_bytes(self.content if isinstance(self.content, bytes) else self.content.encode())
        return write_study(folder, {"file": self.file, **self.data}, {**ROLES, **self.roles})


def write_study(folder: Path, data: Mapping[str, object], roles: Mapping[str, object]) -> Path:
    """A study.toml of some settings; roles that are None are left out."""

    def value(of: object) -> str:
        if isinstance(of, list):
            return f"[{', '.join(map(value, of))}]"
        return str(of).lower() if isinstance(of, bool) else f"'{of}'"

    lines = ["title = 'Small study'", "[data]", *(f"{key} = {value(of)}" for key, of in data.items())]
    lines += ["[roles]", *(f"{key} = {value(of)}" for key, of in roles.items() if of is not None)]
    (folder / "study.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "study.toml"


PLAIN = csv(lambda frame: frame)
HEADER = PLAIN.split("\n", 1)[0]
NO_STATE = {"targets": ["mood"], "state": None, "states": None}
NO_CLUSTER = {"cluster": None}


def _lines(change: Callable[[list[str]], list[str]]) -> str:
    return "\n".join(change(PLAIN.rstrip("\n").split("\n"))) + "\n"


def _one_row_each(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop_duplicates("person").assign(state=["calm", "tense"] * 6)


def _two_families(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(arm=["a" if family < "f3" else "b" for family in frame["family"]])


def _constant_in_training(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(z=np.where(np.asarray(frame["t"], dtype=int) < 10, 1.0, 2.0))


def _single(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame["person"] != "p0") | (frame["t"] == 0)]


def _few(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame["person"] != "p0") | (np.asarray(frame["t"], dtype=int) < 5)]


def _rows(frame: pd.DataFrame, *numbers: int) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[list(numbers)]])


CASES = [
    Case(row=1, name="empty file", content="", code="E101"),
    Case(row=1, name="blank file", content="\n \n", code="E101"),
    Case(row=2, name="header only", content=HEADER + "\n", code="E102"),
    Case(row=3, name="no person column", content=csv(lambda f: f.drop(columns="person")), code="E103", column="person"),
    Case(row=4, name="no target column", content=csv(lambda f: f.drop(columns="mood")), code="E103", column="mood"),
    Case(row=5, name="column twice", content=PLAIN.replace(",x,z,", ",x,x,", 1), code="E104", column="x"),
    Case(row=6, name="ragged row", content=_lines(lambda r: [*r[:3], f"{PLANTED},1", *r[4:]]), code="E105", rows=(4,)),
    Case(
        row=7,
        name="extra field in every row",
        content=_lines(lambda r: [r[0], *(f"{row},{PLANTED}" for row in r[1:4])]),
        code="E105",
        rows=(2, 3, 4),
    ),
    Case(
        row=8,
        name="unclosed quote",
        content=_lines(lambda r: [*r[:3], f'"{PLANTED}', *r[3:]]),
        code="E105",
        rows=(4,),
    ),
    Case(row=9, name="UTF-16 without a mark", content=PLAIN.encode("utf-16-le"), code="E107"),
    Case(
        row=10,
        name="cp1252",
        content=csv(cell("person", PLANTED, *range(12))).encode("cp1252"),
        code="E106",
        rows=(2,),
    ),
    Case(row=12, name="NUL bytes", content=PLAIN.replace("waiting", "wait\x00ing", 1), code="E107"),
    Case(row=12, name="xlsx renamed csv", content=excel("Data"), code="E107"),
    Case(row=13, name="semicolon and decimal comma", content=csv(lambda f: f, sep=";", decimal=","), code="W220"),
    Case(row=14, name="thousands", content=csv(cell("x", "1,234.5", 1)), code="E108", column="x"),
    Case(row=15, name="text in a feature", content=csv(cell("x", PLANTED)), code="E109", rows=(4,), column="x"),
    Case(row=15, name="text in the target", content=csv(cell("mood", PLANTED)), code="E109", rows=(4,), column="mood"),
    Case(row=16, name="infinite", content=csv(cell("x", "inf")), code="E110", rows=(4,), column="x"),
    Case(row=16, name="too large", content=csv(cell("z", "1e400")), code="E110", rows=(4,), column="z"),
    Case(row=17, name="empty feature", content=csv(cell("x", None, 2, 5)), code="E111", rows=(4, 7), column="x"),
    Case(row=18, name="empty target", content=csv(cell("mood", None)), code="E111", rows=(4,), column="mood"),
    Case(row=19, name="no person id", content=csv(cell("person", None)), code="E112", rows=(4,), column="person"),
    Case(row=21, name="blank behind an id", content=csv(cell("person", "p0 ", 3, 4)), code="W211"),
    Case(
        row=22,
        name="accents written in two ways",
        content=csv(lambda f: cell("person", "Zoe\u0308", 3, 4)(cell("person", "Zoë", *range(12))(f))),
        code="W212",
    ),
    Case(row=24, name="upper and lower case", content=csv(cell("person", "P1", *range(12))), code="W201"),
    Case(
        row=25,
        name="repeated row",
        content=csv(lambda f: _rows(f, 0)),
        code="W202",
        rows=(146,),
        roles=NO_STATE,
    ),
    Case(row=26, name="same time twice", content=csv(cell("t", 0, 1)), code="E113", rows=(2, 3)),
    Case(row=27, name="unsorted time", content=csv(lambda f: f.iloc[::-1]), code="W203"),
    Case(
        row=28,
        name="ambiguous dates",
        content=csv(lambda f: f.assign(t=[f"{t + 1:02d}/02/2026" for t in f["t"]])),
        code="E114",
        column="t",
    ),
    Case(row=29, name="sentinel", content=csv(cell("x", -99, 2, 3, 4)), code="W204", rows=(4, 5, 6), column="x"),
    Case(row=30, name="constant feature", content=csv(column("x", 1)), code="W205", column="x"),
    Case(row=31, name="identical features", content=csv(lambda f: f.assign(z=f["x"])), code="W206", column="z"),
    Case(row=32, name="constant in training", content=csv(_constant_in_training), code="W205", column="z"),
    Case(row=33, name="constant target", content=csv(column("mood", 3)), code="E115", column="mood"),
    Case(
        row=34,
        name="target constant within persons",
        content=csv(lambda f: f.assign(mood=[len(p) + int(p[1:]) for p in f["person"]])),
        code="W207",
        column="mood",
    ),
    Case(row=35, name="one person", content=csv(lambda f: f[f["person"] == "p1"]), code="E116", column="person"),
    Case(row=36, name="one row each", content=csv(_one_row_each), code="E117", column="person"),
    Case(row=37, name="a person with one row", content=csv(_single), code="W208", column="person"),
    Case(row=38, name="a person with five rows", content=csv(_few), code="W214", column="person"),
    Case(
        row=43,
        name="unknown class",
        content=csv(cell("state", PLANTED)),
        code="E120",
        rows=(4,),
        column="state",
    ),
    Case(row=46, name="one class", content=csv(column("state", "calm")), code="E121", column="state"),
    Case(
        row=49,
        name="a person in two groups",
        content=csv(cell("arm", PLANTED)),
        code="E123",
        rows=(4,),
        column="arm",
    ),
    Case(
        row=50,
        name="a group of one person",
        content=csv(lambda f: f.assign(arm=np.where(f["person"] == "p0", "a", "b"))),
        code="W217",
        column="arm",
    ),
    Case(row=52, name="groups of whole families", content=csv(_two_families), code="W215", column="arm"),
    Case(row=72, name="several sheets", content=excel("One", "Two"), code="E504", file="data.xlsx"),
    Case(row=72, name="Excel error", content=excel("One", error=True), code="E502", rows=(4,), file="data.xlsx"),
    Case(row=80, name="file vanished", content=lambda _: None, code="E100"),
]

FINE = [
    Case(row=9, name="UTF-16 with its mark", content=PLAIN.encode("utf-16"), code=""),
    Case(row=10, name="cp1252, named", content=PLAIN.encode("cp1252"), code="", data={"encoding": "cp1252"}),
    Case(row=11, name="UTF-8 with a mark", content=PLAIN.encode("utf-8-sig"), code=""),
    Case(
        row=13,
        name="semicolon and decimal comma, named",
        content=csv(lambda f: f, sep=";", decimal=","),
        code="",
        data={"separator": "semicolon", "decimal": "comma"},
    ),
    Case(row=14, name="thousands, named", content=csv(cell("x", "1,234.5", 1)), code="", data={"thousands": "comma"}),
    Case(row=19, name="ids that look missing", content=csv(lambda f: f.replace({"p0": "NA", "p1": "null"})), code=""),
    Case(row=20, name="007 and 7", content=csv(lambda f: f.replace({"p0": "007", "p1": "7"})), code=""),
    Case(
        row=23,
        name="17 digits",
        content=csv(lambda f: f.replace({"p0": "12345678901234567", "p1": "12345678901234568"})),
        code="",
    ),
    Case(
        row=28,
        name="dates, order named",
        content=csv(lambda f: f.assign(t=[f"{t + 1:02d}/02/2026" for t in f["t"]])),
        code="",
        data={"day_first": True},
    ),
    Case(
        row=44,
        name="labels 0 and 2",
        content=csv(lambda f: f.replace({"calm": 0, "tense": 2})),
        code="",
        roles={"states": ["0", "2"]},
    ),
    Case(
        row=45,
        name="label -100",
        content=csv(lambda f: f.replace({"calm": -100, "tense": 2})),
        code="",
        roles={"states": None},
    ),
    Case(row=47, name="sequences of one row", content=PLAIN, code="", roles={"sequence": "t"}),
    Case(row=48, name="a state is missing", content=csv(cell("state", None)), code=""),
    Case(
        row=51,
        name="three groups",
        content=csv(lambda f: f.assign(arm=[f"g{int(p[1:]) % 3}" for p in f["person"]])),
        code="",
        roles=NO_CLUSTER,
    ),
    Case(row=72, name="the sheet is named", content=excel("One", "Two"), code="", file="a.xlsx", data={"sheet": "Two"}),
]
