"""A million rows of 10,000 persons, effects in the last layer: memory against the data, an epoch against the plain one.

Run as ``nice python -m benchmarks.peers.million_rows [--rows 1000000 --persons 10000 --batch 256]``.

Memory is measured in processes of their own: the data set is made (20 features and the target in double precision),
the fit runs for ten epochs, variances and the posterior included, with two rounds of them at the end; what counts is
the largest resident set above that before the data were there, as a multiple of the data's bytes. Time is process CPU
time per epoch: of the same fit, its rounds of posterior and variances (every ten epochs) included, and of the plain
network, which shuffles rows, gathers batches and makes steps of autograd and Adam. One thread, float32. Result in
``benchmarks/results/million_rows.json``.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peers.nme_step import plain_network
from benchmarks.peers.timing import RESULTS
from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import Grouping
from toolkit.models import NmeMlp, rounds
from toolkit.models.training import train

FEATURES, HIDDEN, EPOCHS = 20, (10, 3), 10
ROUNDS = 2  # of the variances after the last epoch, of which each takes the same memory


def rows_of(rows: int, persons: int) -> GroupedDataset:
    """Random rows in random order."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, persons, rows)
    features = rng.standard_normal((rows, FEATURES))
    target = features[:, 0] + rng.standard_normal(persons)[codes] + rng.standard_normal(rows)
    for array in (features, target, codes):
        array.setflags(write=False)  # read-only arrays are shared, not copied
    return GroupedDataset(
        features=features,
        feature_names=tuple(f"x{k}" for k in range(FEATURES)),
        target=target,
        target_name="y",
        groupings=(Grouping(name="person", codes=codes, levels=tuple(f"p{k}" for k in range(persons))),),
        row_numbers=np.arange(rows),
    )


def bytes_of(data: GroupedDataset) -> int:
    """Bytes of the arrays of the data set."""
    arrays = (data.features, data.target, data.person, data.row_numbers)
    return sum(np.asarray(array).nbytes for array in arrays)


def fitted(asked: argparse.Namespace) -> dict[str, float]:
    """CPU seconds of an epoch of the fit, and its memory."""
    rounds.POLISH_STEPS = ROUNDS
    warm_up(asked)
    before = resident()
    data = rows_of(asked.rows, asked.persons)
    held = bytes_of(data)
    config = NmeMlp(
        hidden=HIDDEN, effects="last", batch=asked.batch, batch_by=asked.by, epochs=EPOCHS, patience=EPOCHS,
        precision="float32", variance_update="em",
    )  # fmt: skip
    stamps: list[float] = [time.process_time()]
    parts = np.full(data.n_rows, "train")
    train(
        config, data, parts, generator=torch.Generator().manual_seed(1), device=torch.device("cpu"),
        progress=lambda *_: stamps.append(time.process_time()),
    )  # fmt: skip
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "epoch_s": (stamps[EPOCHS] - stamps[1]) / (EPOCHS - 1),
        "start_s": stamps[1] - stamps[0],
        "end_s": time.process_time() - stamps[EPOCHS],
        "data_mb": held / 1e6,
        "peak_mb": (peak - before) / 1e6,
        "times_data": (peak - before) / held,
    }


def resident() -> int:
    """Bytes of memory this process has now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def warm_up(asked: argparse.Namespace) -> None:
    """A small fit: what torch allocates at its first use is no memory of the data."""
    data = rows_of(2_000, 20)
    config = NmeMlp(hidden=HIDDEN, effects="last", batch=asked.batch, epochs=10, patience=10, precision="float32")
    labels = np.full(data.n_rows, "train")
    train(config, data, labels, generator=torch.Generator().manual_seed(1), device=torch.device("cpu"))


def plain(asked: argparse.Namespace) -> dict[str, float]:
    """CPU seconds of an epoch of the plain network."""
    data = rows_of(asked.rows, asked.persons)
    features = torch.from_numpy(np.array(data.features, dtype=np.float32))
    target = torch.from_numpy(np.array(data.target, dtype=np.float32))[:, None]
    network = plain_network(FEATURES, HIDDEN, torch.float32)
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    spent = []
    for _ in range(3):
        started = time.process_time()
        for chosen in torch.randperm(len(target)).split(asked.batch):
            adam.zero_grad(set_to_none=True)
            torch.square(network(features[chosen]) - target[chosen]).mean().backward()
            adam.step()
        spent.append(time.process_time() - started)
    return {"epoch_s": statistics.median(spent)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--persons", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--by", default="persons", choices=["persons", "rows"])
    parser.add_argument("--kinds", nargs="*", default=["persons", "rows"])
    parser.add_argument("--only", choices=["plain", "fitted"])
    asked = parser.parse_args()
    if asked.only:
        torch.set_num_threads(1)
        print(json.dumps(plain(asked) if asked.only == "plain" else fitted(asked)))
        return
    cases: dict[str, dict[str, Any]] = {}
    for by in asked.kinds:
        ours, theirs = (_alone(asked, only, by) for only in ("fitted", "plain"))
        cases[f"batches of {asked.batch} by {by}"] = {
            **ours, "plain_epoch_s": theirs["epoch_s"], "times_plain": ours["epoch_s"] / theirs["epoch_s"],
        }  # fmt: skip
        print(f"\nbatches of {asked.batch} by {by}")
        for key, value in cases[f"batches of {asked.batch} by {by}"].items():
            print(f"  {key:16s} {value:10.2f}", flush=True)
    about = {"rows": asked.rows, "persons": asked.persons, "features": FEATURES, "hidden": HIDDEN}
    text = json.dumps({"python": platform.python_version(), **about, "cases": cases}, indent=2)
    (RESULTS / "million_rows.json").write_text(text + "\n", encoding="utf-8")


def _alone(asked: argparse.Namespace, only: str, by: str) -> dict[str, float]:
    """One measurement in a process of its own."""
    size = ["--rows", str(asked.rows), "--persons", str(asked.persons), "--batch", str(asked.batch)]
    command = [sys.executable, "-m", "benchmarks.peers.million_rows", "--only", only, "--by", by, *size]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(found.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
