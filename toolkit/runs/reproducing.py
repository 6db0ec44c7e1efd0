"""A manifest run again: same settings, data, split, seed and threads; then the numbers side by side."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from toolkit.data.grouped import GroupedDataset
from toolkit.data.outcomes import rows_for
from toolkit.data.split_designs import DESIGNS
from toolkit.data.splits import explicit
from toolkit.data.study import Study
from toolkit.errors import DataError, RunFolderError
from toolkit.models.config import Configuration
from toolkit.runs.fitting import SplitChoice, fit
from toolkit.runs.folder import SavedRun, load_run
from toolkit.runs.manifest import current_versions
from toolkit.runs.number_comparison import Comparison, compare_tables
from toolkit.runs.run import Data, rows_of

TOLERANCE = 1e-6
WITHOUT_CHANCE = ("within-person-time", "future", "none")
OF_COPIES = ("variance_components.parquet", "trace.parquet")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reproduction:
    """Outcome of `nme reproduce`.

    Attributes:
        comparisons: tables and analyses, in order. versions: of software that is another now, as (then, now).
        tolerance: largest relative difference that counts as equal.
    """

    comparisons: tuple[Comparison, ...]
    versions: Mapping[str, tuple[str, str]]
    tolerance: float

    @property
    def same(self) -> bool:
        """Whether every number is equal within the tolerance."""
        return all(found.verdict != "differs" for found in self.comparisons)

    @property
    def bit_equal(self) -> bool:
        """Whether every number is equal to the last bit."""
        return all(found.verdict == "equal" for found in self.comparisons)

    def text(self) -> str:
        """The verdict first, then every comparison, then other versions."""
        if self.bit_equal:
            verdict = "Reproduced: every number is equal to the last bit."
        elif self.same:
            verdict = f"Reproduced: every number is equal within {self.tolerance:g} of the size of the numbers."
        else:
            count = sum(found.verdict == "differs" for found in self.comparisons)
            verdict = f"Not reproduced: {count} of {len(self.comparisons)} comparisons differ."
        other = [f"{name} {then} then, {now} now" for name, (then, now) in self.versions.items()]
        told = f"Other versions: {'; '.join(other)}." if other else "The versions of the software are the same."
        return "\n".join([verdict, *(found.text() for found in self.comparisons), told])


def check_data(run: SavedRun, data: Data) -> GroupedDataset:
    """The rows of a data set, after checking that the run was fitted to them.

    Raises:
        DataError: E407 if they are others: their hash differs.
    """
    rows = rows_of(data)
    rows = rows_for(str(run.manifest["task"]), rows)
    then, now = str(run.manifest["data"]["hash"]), rows.content_hash()
    if then != now:
        counts = f"{run.manifest['data']['rows']:,} rows then, {rows.n_rows:,} now"
        raise DataError(
            f"the data are not those the run was fitted to: their hash is {now[:12]}, not {then[:12]} ({counts})",
            code="E407",
            column="study",
            remedy="name the study of this run, with the data file as it was",
        )
    return rows


def refit(run: SavedRun, config: Configuration, data: Data, out: Path, *, study: Study | None = None) -> SavedRun:
    """Fit the model of a manifest again into a folder of its own.

    Raises:
        DataError: E407 for other data, or a split that only the complete run folder knows; as `fit`
            otherwise.
    """
    rows = check_data(run, data)
    device = "cpu" if str(run.manifest.get("device", "cpu")).startswith("cpu") else "auto"
    with _threads(int(run.manifest.get("threads") or torch.get_num_threads())):
        fit(
            config, data, seed=int(run.manifest["seed"]), device=device, split=split_of(run, rows), out=out, study=study
        )
    return load_run(out)


def split_of(run: SavedRun, rows: GroupedDataset) -> SplitChoice:
    """The split of a run: a design without chance by its name, else the parts of its rows as the run kept them.

    Raises:
        DataError: E407 where the parts are needed and the folder has no predictions.
    """
    name = str(run.manifest["split"]["name"])
    if name in WITHOUT_CHANCE:
        return name
    try:
        predictions = run.predictions()
    except RunFolderError:
        if name in DESIGNS:  # as `fit` makes it from the seed
            return name
        raise DataError(
            "the rows were split by a file or a caller, and the parts are not at hand",
            code="E407",
            column="split",
            remedy="name the complete run folder instead of its manifest",
        ) from None
    part = predictions.set_index("row")["split"]
    return explicit(rows, part.loc[np.asarray(rows.row_numbers)].to_numpy(dtype=object).astype(str), name=name)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads for a while: the last digits may depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def compare_run(run: SavedRun, again: SavedRun, *, tolerance: float = TOLERANCE) -> list[Comparison]:
    """Every table of a run beside the same table made again; by checksum where only the manifest is at hand.

    Raises:
        RunFolderError: E401 or E402 for a damaged table.
    """
    names = [name for name in run.manifest["files"] if name.endswith(".parquet") and name in again.manifest["files"]]
    if run.without_persons:
        names = [name for name in names if name in OF_COPIES]
    return [_compared(name, run, again, tolerance) for name in sorted(names)]


def _compared(name: str, run: SavedRun, again: SavedRun, tolerance: float) -> Comparison:
    title = name.removesuffix(".parquet")
    if (run.path / name).is_file():
        return compare_tables(title, _table(run, name), _table(again, name), tolerance=tolerance)
    if run.manifest["files"][name] == hashlib.sha256(again.content(name)).hexdigest():
        return Comparison(name=title, verdict="equal")
    return Comparison(
        name=title,
        verdict="differs",
        largest=float("nan"),
        where="its checksum is another, and the table is not at hand",
    )


def _table(run: SavedRun, name: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(run.content(name)))


def other_versions(manifest: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Software whose version is another than when the run was made."""
    now = current_versions()
    then = manifest.get("versions") or {}
    return {name: (str(then[name]), now[name]) for name in then if name in now and str(then[name]) != now[name]}
