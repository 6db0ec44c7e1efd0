"""How long the whole report of the bundled study takes, and how large it is.

``python -m benchmarks.report_speed DEMO``, where DEMO is the folder of a finished demonstration (``nme demo --out DEMO
--no-app``). Every audience is timed as its command runs, in an interpreter of its own, over all runs of the
demonstration: reading, figures, html and docx.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AUDIENCES = ("paper", "clinician", "internal")


def main(demo: Path) -> None:
    """Time the reports, one after the other, and print one JSON object an audience."""
    runs = sorted(path for path in (demo / "runs").iterdir() if (path / "manifest.json").is_file())
    with tempfile.TemporaryDirectory() as place:
        for audience in AUDIENCES:
            out = Path(place) / audience
            words = ["report", *map(str, runs), "--audience", audience, "--out", str(out), "--format", "html,docx"]
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "toolkit.cli", *words, "--json"], check=True, capture_output=True)
            seconds = time.perf_counter() - started
            sizes = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
            print(json.dumps({"audience": audience, "runs": len(runs), "seconds": round(seconds, 1), "bytes": sizes}))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.report_speed DEMO")
    main(Path(sys.argv[1]))
