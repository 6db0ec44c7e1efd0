"""Run folders on the reading side: verified tables without torch, predictions with it.

A run folder is written by `toolkit.runs.writing` and never changed afterwards, except for ``analyses/``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from toolkit.errors import RunFolderError
from toolkit.results import Result
from toolkit.runs.atomic import enough_room, write_atomically
from toolkit.runs.reading import further_groupings, of_target, of_term, read_checked, refuse_code

if TYPE_CHECKING:
    import numpy as np

    from toolkit.data.grouped import GroupedDataset
    from toolkit.runs.person_posterior import PersonPosterior

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
NEEDED = {"name", "model", "task", "status", "study", "data", "files"}  # of a manifest, whatever is done with the run
TABLES = ("persons", "random_effects", "variance_components", "transitions", "predictions", "metrics", "trace")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SavedRun:
    """A finished run on disk. Tables are read when asked for, and checked against the manifest's SHA-256.

    Attributes:
        path: the run folder.
        manifest: what was run, on which data, with which settings, and how it ended.
    """

    path: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.manifest["name"])

    @property
    def model(self) -> str:
        """Model as on the command line, such as ``nme-crf``."""
        return str(self.manifest["model"])

    @property
    def status(self) -> str:
        """How the fit ended, as a sentence."""
        return str(self.manifest["status"]["sentence"])

    @property
    def states(self) -> tuple[str, ...] | None:
        """State names of a chain model."""
        return self.classes if self.manifest["task"] == "sequence" else None

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the states of a chain, or of the classes of another model; None for numbers."""
        return tuple(str(name) for name in self.manifest["study"].get("states") or []) or None

    @property
    def groupings(self) -> tuple[str, ...]:
        """Grouping factors beside the person that the run was fitted with."""
        return further_groupings(self.manifest)

    def persons(self) -> pd.DataFrame:
        """Persons: pseudonym, group, cluster, rows per part, baseline level, whether they enter the metrics."""
        return self._table("persons")

    def random_effects(self, term: str | None = None) -> pd.DataFrame:
        """Effects of the persons, or of another grouping factor (``term``).

        Columns: term, level, parameter, estimate, sd, low, high, reliability.

        Raises:
            DataError: E302 for a grouping factor the run does not have.
        """
        return of_term(self._table("random_effects"), term)

    def variance_components(self) -> pd.DataFrame:
        """Variance components with their shares."""
        return self._table("variance_components")

    def fixed_effects(self) -> pd.DataFrame:
        """Fixed effects of a linear or logistic mixed model: parameter, estimate, se, low, high, z, p.

        Raises:
            RunFolderError: E406 for another model.
        """
        return self._of_some("fixed_effects", "has no such table", "choose a run of lmm or glmm")

    def likelihood(self) -> pd.DataFrame:
        """Fit of a mixed model: restricted, log_likelihood, deviance, parameters, rows, aic, bic.

        Raises:
            RunFolderError: E406 for another model.
        """
        return self._of_some("likelihood", "has no such table", "choose a run of lmm or glmm")

    def transitions(self) -> pd.DataFrame:
        """Transitions of every person (chain models).

        Raises:
            RunFolderError: E406 for a model without states.
        """
        if self.states is None:
            raise RunFolderError(
                f"{self.model} has no transitions", code="E406", remedy="choose a run of a chain model"
            )
        return self._table("transitions")

    def transition_covariates(self) -> pd.DataFrame:
        """How covariates shift the transitions.

        Columns: covariate, meaning, from_state, to_state, estimate, se, low, high, pvalue, probability,
        probability_shifted.

        Raises:
            RunFolderError: E406 for a model without transition covariates.
        """
        remedy = "choose a run of a chain model with transition_covariates"
        return self._of_some("transition_covariates", "was fitted without transition covariates", remedy)

    def posterior(self) -> PersonPosterior:
        """Posterior means and covariances of the person effects, on the scale of the fit: personal data.

        Raises:
            RunFolderError: E406 for a run without person effects, E401/E402 for a damaged folder.
        """
        from toolkit.runs.person_posterior import read_person_posterior

        files = self.checked("persons.safetensors"), self.checked("generic.safetensors")
        names = tuple(self.manifest["network"]["effect_labels"])
        return read_person_posterior(*files, tuple(self.manifest["levels"]), names)

    def experts(self) -> pd.DataFrame:
        """Weights of every expert: expert, persons, parameter, weight, shared, difference.

        Raises:
            RunFolderError: E406 for a model without experts.
        """
        return self._of_some("experts", "has no experts", "choose a run of pen")

    def gate(self) -> pd.DataFrame:
        """Mean weight of each expert in each person's rows: person, split, expert, weight, rows, entropy.

        Raises:
            RunFolderError: E406 for a model without experts.
        """
        return self._of_some("gate", "has no experts", "choose a run of pen")

    def _of_some(self, name: str, missing: str, remedy: str) -> pd.DataFrame:
        """A table that only some models have."""
        if f"{name}.parquet" not in self.manifest["files"]:
            raise RunFolderError(f"{self.model} {missing}", code="E406", remedy=remedy)
        return self._table(name)

    @property
    def targets(self) -> tuple[str, ...]:
        """What the model predicts; several for some."""
        named = self.manifest.get("targets") or ([self.manifest["target"]] if self.manifest.get("target") else [])
        return tuple(str(name) for name in named)

    def predictions(self, target: str | None = None) -> pd.DataFrame:
        """Truth and prediction of every row, for one target: the first by default (E103 for an unknown one)."""
        return of_target(self._table("predictions"), target, self.targets)

    def metrics(self, target: str | None = None) -> pd.DataFrame:
        """Metrics per person, their means, and pooled, for one target: the first by default (E103 for another)."""
        return of_target(self._table("metrics"), target, self.targets)

    def trace(self) -> pd.DataFrame:
        """Training by epoch."""
        return self._table("trace")

    def predict(self, data: GroupedDataset, level: str = "person", *, strict: bool = False) -> np.ndarray:
        """Predictions for new rows; see `toolkit.models.fitted.FittedNetwork.predict`."""
        from toolkit.runs.restore import restore_network

        self._check_level(level)
        return restore_network(self).predict(data, level, strict=strict)

    def predict_frame(self, data: GroupedDataset, level: str = "person", *, strict: bool = False) -> pd.DataFrame:
        """Predictions for new rows as a table with the column ``person_known``."""
        from toolkit.runs.restore import restore_network

        self._check_level(level)
        return restore_network(self).predict_frame(data, level, strict=strict)

    @property
    def without_persons(self) -> bool:
        """Whether this is a copy from which everything about persons was left out; see `toolkit.runs.exporting`."""
        return bool(self.manifest.get("without_persons"))

    def group_table(self, name: Literal["persons", "effects", "transitions"]) -> pd.DataFrame:
        """Averages of groups in a copy without persons: ``group_persons``, ``group_effects``, ``group_transitions``."""
        return self._table(f"group_{name}")

    def _check_level(self, level: str) -> None:
        """Refuse predictions for known persons where there are none (E409)."""
        if self.without_persons and level != "population":
            raise RunFolderError(
                "this copy of the run has no data of persons, so it cannot predict for a known person",
                code="E409",
                column="level",
                remedy="predict with level='population', or with the run folder it was exported from",
            )

    def checked(self, name: str) -> Path:
        """Path of a file of the run after comparing its SHA-256 with the manifest.

        Raises:
            RunFolderError: E401 if it is missing, cut short or may not be read, E402 if it was changed, E403 if it is a
                file that may contain code, E409 if it is about persons and this copy has none.
        """
        self.content(name)
        return self.path / name

    def content(self, name: str) -> bytes:
        """A file of the run, checked as by `checked`."""
        if self.without_persons and name not in self.manifest["files"]:
            raise RunFolderError(
                f"this copy of the run has no data of persons, and {name} is about persons",
                code="E409",
                remedy="use the run folder it was exported from",
            )
        return read_checked(self.path / name, self.manifest["files"].get(name))

    def verify(self) -> int:
        """Check every file of the run; returns their number. Raises as `checked`."""
        for name in self.manifest["files"]:
            self.checked(name)
        return len(self.manifest["files"])

    def _table(self, name: str) -> pd.DataFrame:
        """One of the tables."""
        import pyarrow.parquet

        content = self.content(f"{name}.parquet")
        try:
            # what pandas does, without the readers of remote files that it loads first
            return pyarrow.parquet.ParquetFile(io.BytesIO(content)).read().to_pandas()
        except (ValueError, OSError):  # the checksum fits, but it is no table
            raise RunFolderError(f"{name}.parquet is no table", code="E401", remedy="repeat the fit") from None


def load_run(path: str | Path) -> SavedRun:
    """Open a run folder.

    Raises:
        RunFolderError: E401 if it is not a finished run, E403 if it is a file that may contain code, E404 if a newer
            version of the toolkit wrote it.
    """
    folder = Path(path)
    _refuse_code(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except PermissionError:
        raise RunFolderError(
            "the run folder may not be read", code="E401", remedy="ask for the right to open it"
        ) from None
    except (OSError, ValueError):
        raise RunFolderError(
            "this is not a finished run: it has no readable manifest.json",
            code="E401",
            remedy="choose the folder of a run, or repeat a fit that was interrupted",
        ) from None
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int):
        raise _no_manifest()
    if version > SCHEMA_VERSION:
        raise RunFolderError(
            f"the run was written by a newer version (format {version}, this version reads up to {SCHEMA_VERSION})",
            code="E404",
            remedy="update the toolkit",
        )
    files = manifest.get("files")
    inside = isinstance(files, dict) and all(name == Path(name).name for name in files)
    if not inside or NEEDED - manifest.keys():
        raise _no_manifest()
    return SavedRun(path=folder, manifest=manifest)


def _no_manifest() -> RunFolderError:
    return RunFolderError("manifest.json is not one of a run", code="E401", remedy="repeat the fit")


def _refuse_code(path: Path) -> None:
    """Refuse a pickled model (E403)."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:  # a folder, or nothing: said by whoever reads it
        return
    refuse_code(start)


def find_runs(path: str | Path) -> tuple[Path, ...]:
    """The run folder itself, or the run folders directly inside it or its folder ``runs``, by name."""
    folder = Path(path)
    if (folder / MANIFEST).is_file():
        return (folder,)
    for place in (folder, folder / "runs"):
        found = sorted(entry for entry in place.iterdir() if (entry / MANIFEST).is_file()) if place.is_dir() else []
        if found:
            return tuple(found)
    return ()


def save_analysis(
    run: SavedRun, name: str, result: Result, *, beside: Mapping[str, bytes] = MappingProxyType({})
) -> Path:
    """Keep a result in the run folder: ``analyses/NAME/`` with result.json, table.parquet and text.md.

    Args:
        run: the run.
        name: of the analysis.
        result: what was found.
        beside: further files by name; see `analyses.report.snippets.keep_analysis`.

    Raises:
        RunFolderError: E304 if the disk is full, E305 if the folder may not be written.
    """
    folder = run.path / "analyses" / name
    table = io.BytesIO()
    result.to_frame().to_parquet(table, index=False)
    summary = json.dumps(result.summary(), indent=1, ensure_ascii=False, default=float)
    with enough_room("the analysis", "make room or ask for the right to write to the run folder"):
        folder.mkdir(parents=True, exist_ok=True)
        for left in ("made_with.json", "snippet.py"):  # of an earlier result of this name
            (folder / left).unlink(missing_ok=True)
        write_atomically(folder / "table.parquet", table.getvalue())
        write_atomically(folder / "text.md", f"{result.text()}\n\n{result.apa()}\n".encode())
        for file, content in beside.items():
            write_atomically(folder / file, content)
        write_atomically(folder / "result.json", summary.encode())
    return folder
