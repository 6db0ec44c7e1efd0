"""How long it takes to import and check large files, and how much memory: every case in a process of its own.

python -m benchmarks.import_speed [CASE ...]     cases: csv, csv-2gb, sav, xlsx; all but csv-2gb by default

Results are kept in ``benchmarks/results/import_speed.json``; a case that is not run keeps its earlier result.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results" / "import_speed.json"
COLUMNS = 47  # of numbers; with person, time and state the tables have 50
ROWS_PER_PERSON = 200
BLOCK = 100_000
# the command as a user runs it, and the peak of its own memory (not of the process that started it)
CHILD = """
import sys
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
code = plain_errors(lambda: app(sys.argv[1:], standalone_mode=False))
lines = open('/proc/self/status').read().splitlines()
peak = next(line.split()[1] for line in lines if line.startswith('VmHWM'))
print(f'PEAK {peak} {code}', file=sys.stderr)
"""


def block(start: int, rows: int, rng: np.random.Generator) -> dict[str, object]:
    """Some rows of a diary: person, time, state, numbers with six decimals."""
    numbers = np.arange(start, start + rows)
    columns: dict[str, object] = {
        "person": np.char.add("p", (numbers // ROWS_PER_PERSON).astype(str)),
        "time": numbers % ROWS_PER_PERSON,
        "state": rng.choice(["calm", "tense", "sad"], rows),
    }
    return columns | {f"x{k}": rng.normal(size=rows).round(6) for k in range(COLUMNS)}


def write_csv(path: Path, rows: int) -> None:
    """A csv file of many rows."""
    import pyarrow as pa
    from pyarrow import csv

    rng = np.random.default_rng(1)
    writer = None
    for start in range(0, rows, BLOCK):
        table = pa.table(block(start, min(BLOCK, rows - start), rng))
        writer = writer or csv.CSVWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def write_sav(path: Path, rows: int) -> None:
    """An SPSS file."""
    import pandas as pd
    import pyreadstat

    frame = pd.DataFrame(block(0, rows, np.random.default_rng(1)))
    pyreadstat.write_sav(frame, path)  # pyright: ignore[reportArgumentType]


def write_xlsx(path: Path, rows: int) -> None:
    """An Excel file, written row by row."""
    import openpyxl

    columns = block(0, rows, np.random.default_rng(1))
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Data")
    sheet.append(list(columns))
    for row in zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True):
        sheet.append(row)
    book.save(path)


CASES: dict[str, tuple[str, int, Callable[[Path, int], None]]] = {
    "csv": ("m.csv", 1_000_000, write_csv),
    "csv-2gb": ("m.csv", 4_600_000, write_csv),
    "sav": ("m.sav", 100_000, write_sav),
    "xlsx": ("m.xlsx", 100_000, write_xlsx),
}


def measured(words: list[str], keys: Path) -> dict[str, float]:
    """Seconds (by the clock, and of processor time) and peak memory (MiB) of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *words],
        env={**os.environ, "NME_KEYS": str(keys)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak, code = next(line.split()[1:] for line in done.stderr.splitlines() if line.startswith("PEAK"))
    if code != "0":
        raise SystemExit(done.stderr)
    return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "peak_mib": round(int(peak) / 1024)}


def run_case(name: str, folder: Path) -> dict[str, object]:
    """Make the file, import it, check the study."""
    file, rows, write = CASES[name]
    path = folder / file
    write(path, rows)
    size = path.stat().st_size / 2**20
    out = folder / "study"
    imported = measured(["import", str(path), "--out", str(out), "--yes"], folder / "keys")
    checked = measured(["check", str(out / "study.toml")], folder / "keys")
    return {
        "rows": rows,
        "columns": COLUMNS + 3,
        "file_mib": round(size),
        "import": imported,
        "check": checked,
        "seconds": round(imported["seconds"] + checked["seconds"], 1),
        "cpu_seconds": round(imported["cpu_seconds"] + checked["cpu_seconds"], 1),
        "peak_mib": max(imported["peak_mib"], checked["peak_mib"]),
        "peak_over_file": round(max(imported["peak_mib"], checked["peak_mib"]) / size, 2),
    }


def main() -> None:
    """Run the cases, print them, keep them."""
    chosen = sys.argv[1:] or ["csv", "sav", "xlsx"]
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            result = run_case(name, Path(folder))
        load = round(os.getloadavg()[0], 1)  # seconds by the clock are longer on a machine that does other work
        kept[name] = {**result, "cores": os.cpu_count(), "load": load, "python": platform.python_version()}
        print(f"{name}: {result['seconds']} s, peak {result['peak_mib']} MiB, file {result['file_mib']} MiB")
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
