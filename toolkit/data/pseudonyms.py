"""Random names for persons and clusters, assigned once; the key stays in a private file beside the study.

The numbers are a random permutation, so that a pseudonym tells nothing about the order of the ids or rows. By default
they come from the operating system's entropy and not from a seed: pseudonyms must not be reproducible from the data.
"""

from __future__ import annotations

import csv
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from toolkit.data.labels import label_codes
from toolkit.errors import DataError, ToolkitWarning

Key = dict[str, dict[str, str]]
PREFIX = {"person": ("P", 3), "cluster": ("C", 2)}  # letter and least number of digits
OTHERS = ("G", 2)  # levels of further grouping factors, a role each
FACTOR = "grouping "  # the role of the levels of a further grouping factor begins with this, its column follows
COLUMNS = ["role", "label", "pseudonym"]


def key_folder() -> Path:
    """The folder of the keys of imported studies, outside every project.

    ``NME_KEYS`` if it is set, else ``nme/keys`` in the user's data folder. Whoever copies or publishes a project then
    does not pass the names on with it.
    """
    chosen = os.environ.get("NME_KEYS")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".local" / "share") / "nme" / "keys"


def unpredictable() -> np.random.Generator:
    """A generator seeded from the operating system's entropy."""
    return np.random.default_rng(secrets.randbits(128))


def extended(known: Mapping[str, str], labels: Iterable[str], role: str, *, rng: np.random.Generator) -> dict[str, str]:
    """The known pseudonyms and new ones for new labels, numbered on in random order: "P001", "P002", ..."""
    letter, digits = PREFIX.get(role, OTHERS)
    new = [label for label in labels if label not in known]
    start = max((int(name[len(letter) :]) for name in known.values()), default=0) + 1
    width = max(digits, len(str(start + len(new) - 1)))
    names = [f"{letter}{number:0{width}d}" for number in start + rng.permutation(len(new))]
    return {**known, **dict(zip(new, names, strict=True))}


def pseudonymised(
    frame: pd.DataFrame, columns: Mapping[str, str | None], key: Key, *, rng: np.random.Generator
) -> tuple[pd.DataFrame, Key, list[ToolkitWarning]]:
    """A copy of the frame with pseudonyms in place of the ids.

    Args:
        frame: the rows; empty cells stay empty.
        columns: column of each role ("person", "cluster", "grouping item"), ``None`` where the study has none.
        key: pseudonyms assigned earlier, per role.
        rng: order of the new numbers.

    Returns:
        The new frame, the key with the new labels, notices about odd labels.
    """
    frame, key, notices = frame.copy(), dict(key), []
    for role, column in columns.items():
        if column is None:
            continue
        codes, labels, found = label_codes(frame[column], kind=role.removeprefix(FACTOR))
        key[role] = extended(key.get(role, {}), labels, role, rng=rng)
        names = np.array([key[role][label] for label in labels] + [None], dtype=object)
        frame[column] = pd.Series(names[codes], index=frame.index, dtype="str")
        notices += found
    return frame, key, notices


def read_key(path: Path) -> Key:
    """The key file; empty if there is none yet.

    Raises:
        DataError: E100 if it cannot be read, or gives one pseudonym to two labels.
    """
    key: Key = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                key.setdefault(row["role"], {})[row["label"]] = row["pseudonym"]
        sound = all(_is_sound(role, names) for role, names in key.items())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        sound = False
    if not sound:
        raise DataError(
            "the key file of the pseudonyms is damaged or cannot be read",
            code="E100",
            remedy="Restore it from a copy; without it the persons of earlier runs cannot be found again",
        )
    return key


def _is_sound(role: str, names: Mapping[str, str]) -> bool:
    """Whether every pseudonym is a letter and a number of its own."""
    letter, _ = PREFIX.get(role, OTHERS)
    return len(set(names.values())) == len(names) and all(
        name.startswith(letter) and name[len(letter) :].isdecimal() for name in names.values()
    )


def write_key(path: Path, key: Key) -> None:
    """Write the key file whole or not at all, readable by its owner only (mode 0600).

    Raises:
        DataError: E305 if the folder cannot be written to.
    """
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".key-", suffix=".part")  # made with mode 0600
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows((role, label, name) for role, names in key.items() for label, name in names.items())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise DataError(
            "the key of the pseudonyms cannot be written beside the study",
            code="E305",
            remedy="Choose a folder you may write to (key_path)",
        ) from None
