"""Writing a run folder: whole or not at all, persons by pseudonym, the key outside."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save

from toolkit.data.grouped import GroupedDataset
from toolkit.data.pseudonyms import FACTOR, extended, read_key, unpredictable, write_key
from toolkit.errors import RunFolderError
from toolkit.runs.atomic import enough_room, sha256, sync_folder, write_atomically
from toolkit.runs.families import family_of
from toolkit.runs.folder import MANIFEST
from toolkit.runs.run import OWN_LABELS, Run

# of each table, the columns that name somebody, and whose names those are
NAMED_COLUMNS = {
    "persons": {"person": "person", "cluster": "cluster"},
    "random_effects": {"level": "expert"},
    "transitions": {"person": "person"},
    "predictions": {"person": "person"},
    "metrics": {"person": "person"},
    "experts": {"expert": "expert"},
    "gate": {"person": "person", "expert": "expert"},
}


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that cannot be written, before hours are spent on training.

    Raises:
        RunFolderError: E305 if it cannot be written, E306 if something is there already.
    """
    try:
        _check_free(folder, overwrite=overwrite)
        folder.parent.mkdir(parents=True, exist_ok=True)
        probe = folder.parent / f".{folder.name}.{os.getpid()}.probe"
        probe.touch()
        probe.unlink()
    except OSError:
        raise RunFolderError(
            "the output folder cannot be written", code="E305", column="out", remedy="choose a folder you may write to"
        ) from None


def _check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that something is in (E306)."""
    if folder.exists() and not overwrite:
        raise RunFolderError(
            "the output folder exists already",
            code="E306",
            column="out",
            remedy="choose another name, or overwrite (--overwrite)",
        )
    if folder.exists() and not (folder / MANIFEST).is_file() and any(folder.iterdir()):
        raise RunFolderError(
            "the output folder holds something that is not a run",
            code="E306",
            column="out",
            remedy="choose another name",
        )


def clear_leftovers(folder: Path) -> None:
    """Delete what a killed process left half written beside a run folder, and put back a run it was about to replace.

    To be called by the holder of the lock: nobody else is at work here then.
    """
    pattern = re.compile(rf"\.{re.escape(folder.name)}\.\d+\.(part|probe|replaced)")
    for entry in sorted(folder.parent.iterdir()):
        if not pattern.fullmatch(entry.name):
            continue
        if entry.suffix == ".replaced" and not folder.exists():
            entry.rename(folder)
        elif entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def write_run(run: Run, data: GroupedDataset, folder: Path, *, overwrite: bool = False) -> Path:
    """Write the run beside its final place, then move it there.

    Persons carry pseudonyms: the data's own if they are pseudonyms already, else random ones whose key is written to
    ``<folder>.key.csv``, outside the run folder and readable by its owner only.

    Raises:
        RunFolderError: E304 if the disk is full, E305 or E306 as `check_target`.
    """
    check_target(folder, overwrite=overwrite)
    names = _pseudonyms(data, run, folder)
    partial = folder.parent / f".{folder.name}.{os.getpid()}.part"
    replaced = partial.with_suffix(".replaced")
    shutil.rmtree(partial, ignore_errors=True)
    remedy = "make room and fit again (--resume goes on); a run that was in the folder before is as it was"
    try:
        with enough_room("the run", remedy):
            partial.mkdir()
            _fill(partial, run, names, folder.name)
            if folder.exists():  # whatever happens in between, one of the two is there whole
                folder.rename(replaced)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)
    sync_folder(folder.parent)
    return folder


def _fill(folder: Path, run: Run, names: dict[str, dict[str, str]], title: str) -> None:
    """Write tables and tensors, and the manifest with their checksums last."""
    for name, table in run.tables.items():
        write_atomically(folder / f"{name}.parquet", _parquet(_renamed(name, table, names)))
    write_atomically(folder / "generic.safetensors", save(_generic(run)))
    write_atomically(
        folder / "persons.safetensors",
        save(_plain(family_of(run.trained.network.config).personal_tensors(run.trained))),
    )
    files = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    persons = [names["person"][level] for level in run.trained.network.levels]
    manifest = {
        "name": title,
        **run.manifest,
        "network": _network(run, names["person"]),
        "levels": persons,
        **_further_levels(run, names),
        "files": files,
    }
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False).encode())


def _further_levels(run: Run, names: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Levels of further grouping factors, in the order of their effects."""
    further = getattr(run.trained.network, "further", ())
    found = {factor.grouping: [names[f"{FACTOR}{factor.grouping}"][n] for n in factor.levels] for factor in further}
    return {"further_levels": found} if found else {}


def _pseudonyms(data: GroupedDataset, run: Run, folder: Path) -> dict[str, dict[str, str]]:
    """Pseudonym of every person, cluster and expert, and of the persons behind each expert.

    Writes the key if pseudonyms had to be made. Where there are no experts, effects are persons'.
    """
    family, trained = family_of(run.trained.network.config), run.trained
    persons = list(dict.fromkeys([*data.persons, *family.labels(trained)]))
    clusters = [label for label in dict.fromkeys(data.person_cluster) if label is not None]
    further = {
        factor.grouping: list(dict.fromkeys([*factor.levels, *own.levels]))
        for factor in getattr(trained.network, "further", ())
        for own in data.groupings[1:]
        if own.name == factor.grouping
    }
    names = _made_pseudonyms(data, persons, clusters, further, folder)
    # places are no column of the data: their labels say nothing from the start
    for factor in getattr(trained.network, "further", ()):
        if factor.grouping not in further and factor.grouping != data.cluster_name:
            names[f"{FACTOR}{factor.grouping}"] = {label: label for label in factor.levels}
    if data.pseudonymous and run.manifest.get("adapted_from", {}).get("labels") == OWN_LABELS:
        others = [label for label in persons if label not in data.persons]
        names["person"] |= _pseudonyms_beside(data.persons, others, folder)
    return {**names, "expert": names["person"], **family.names_of_experts(trained, names["person"])}


def _made_pseudonyms(
    data: GroupedDataset, persons: list[str], clusters: list[str], further: dict[str, list[str]], folder: Path
) -> dict[str, dict[str, str]]:
    """The labels themselves where they are pseudonyms already, else those of the key.

    A further grouping factor that is the cluster column has the clusters' pseudonyms.
    """
    roles = {"person": persons, "cluster": clusters}
    roles |= {f"{FACTOR}{name}": levels for name, levels in further.items() if name != data.cluster_name}
    if data.cluster_name in further:
        roles["cluster"] = list(dict.fromkeys([*clusters, *further[data.cluster_name]]))
    if data.pseudonymous:
        return _with_cluster_factor({role: {n: n for n in levels} for role, levels in roles.items()}, data, further)
    path = folder.with_name(f"{folder.name}.key.csv")
    key, rng = read_key(path), unpredictable()
    names = {role: extended(key.get(role, {}), levels, role, rng=rng) for role, levels in roles.items()}
    write_key(path, names)
    return _with_cluster_factor(names, data, further)


def _with_cluster_factor(
    names: dict[str, dict[str, str]], data: GroupedDataset, further: dict[str, list[str]]
) -> dict[str, dict[str, str]]:
    """The clusters' names under the factor's role too, where the two are one column."""
    return {**names, f"{FACTOR}{data.cluster_name}": names["cluster"]} if data.cluster_name in further else names


def _pseudonyms_beside(taken: Sequence[str], labels: Sequence[str], folder: Path) -> dict[str, str]:
    """Pseudonyms of the persons a model was trained with, where only the new persons' labels are pseudonyms already."""
    path = folder.with_name(f"{folder.name}.key.csv")
    key = read_key(path)
    known = {name: name for name in taken} | key.get("person", {})
    made = extended(known, labels, "person", rng=unpredictable())
    found = {label: made[label] for label in labels}
    write_key(path, {**key, "person": {**key.get("person", {}), **found}})
    return found


def _renamed(name: str, table: pd.DataFrame, names: dict[str, dict[str, str]]) -> pd.DataFrame:
    """A table with pseudonyms in place of labels."""
    new = {column: table[column].map(names[kind]) for column, kind in NAMED_COLUMNS.get(name, {}).items()}
    if name == "random_effects":
        for term in table["term"].unique():
            if f"{FACTOR}{term}" in names:
                own = table["term"] == term
                new["level"] = new["level"].where(~own, table["level"].map(names[f"{FACTOR}{term}"]))
    if name == "experts":
        new["persons"] = table["expert"].map(names["members"])
    return table.assign(**{column: values.astype("string") for column, values in new.items()})


def _parquet(table: pd.DataFrame) -> bytes:
    """A table as parquet."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _generic(run: Run) -> dict[str, torch.Tensor]:
    """Shared parameters and variance components, and the standardisation of the features."""
    network = run.trained.network
    tensors = family_of(network.config).generic_tensors(run.trained)
    tensors["feature_mean"] = torch.as_tensor(np.array(network.scaler.mean))
    tensors["feature_scale"] = torch.as_tensor(np.array(network.scaler.scale))
    return _plain(tensors)


def _plain(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors as they are written."""
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _network(run: Run, pseudonym: dict[str, str]) -> dict[str, Any]:
    """What is needed beside the tensors to predict again."""
    network = run.trained.network
    return {
        "config_class": type(network.config).__name__,
        "grouping": network.grouping,
        "classes": list(network.classes) if network.classes is not None else None,
        "features": list(network.scaler.names),
        "features_dropped": list(network.scaler.dropped),
        "target_mean": network.scaler.target_mean,
        "target_scale": network.scaler.target_scale,
        **family_of(network.config).describe(run.trained, pseudonym),
    }
