"""Public data beside the checkout that may not ship with it; tests that need them are skipped where they are absent."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_file(name: str) -> Path:
    """The file, or the test is skipped."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{name} is not beside this checkout")
    return path


def shared_tables() -> list[str]:
    """Names of all tables, or one that is absent."""
    found = sorted(path.name for path in FOLDER.glob("*") if path.suffix in (".csv", ".parquet"))
    return found or ["no shared data"]
