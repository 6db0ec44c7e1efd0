"""One training step with person effects against one of the plain shared network.

Run as ``python -m benchmarks.peers.nme_step [--rounds 25]``. A step is batch 256, 10 features: objective (squared error
and prior), gradient, Adam, as a fit with ``batch=256`` makes it, its share of drawing and laying out the batches
included. The plain network is ``torch.nn.Linear`` and ReLU, autograd and Adam, on a batch that is ready.
Process CPU time, one thread, float32 and float64, interleaved rounds. Result in ``benchmarks/results/nme_step.json``.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from benchmarks.peers.timing import compare, interleave, report
from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import Grouping
from toolkit.effects.batches import drawn_batches
from toolkit.effects.flat_rows import Batch
from toolkit.effects.sweeping import MiniBatches
from toolkit.models import NmeMlp
from toolkit.models.fit_state import start_state
from toolkit.models.minibatches import flat_rows, mini_batches
from toolkit.models.networks import Mlp, initial_parameters
from toolkit.models.placement import effect_layout
from toolkit.models.prepare import fit_scaler
from toolkit.models.starting import variance_rule

BATCH, FEATURES, ROWS, STEPS = 256, 10, 80, 10
CPU = torch.device("cpu")
NETWORKS: dict[str, tuple[int, ...]] = {"10-3": (10, 3), "100-50-25-12": (100, 50, 25, 12)}
CASES = [
    (effects, persons, by) for effects in ("all", "last") for persons in (195, 10_000) for by in ("persons", "rows")
]


def rows_of(persons: int) -> GroupedDataset:
    """Random rows, as many of each person."""
    rng, count = np.random.default_rng(1), persons * ROWS
    codes = np.repeat(np.arange(persons), ROWS)
    return GroupedDataset(
        features=rng.standard_normal((count, FEATURES)), feature_names=tuple(f"x{k}" for k in range(FEATURES)),
        target=rng.standard_normal(count), target_name="y",
        groupings=(Grouping(name="person", codes=codes, levels=tuple(f"p{k}" for k in range(persons))),),
        row_numbers=np.arange(count),
    )  # fmt: skip


def plain_network(features: int, hidden: tuple[int, ...], dtype: torch.dtype) -> nn.Sequential:
    """The shared network."""
    layers = [nn.Linear(a, b, dtype=dtype) for a, b in itertools.pairwise([features, *hidden, 1])]
    return nn.Sequential(*[part for layer in layers[:-1] for part in (layer, nn.ReLU())], layers[-1])


def plain_step(hidden: tuple[int, ...], dtype: torch.dtype) -> Callable[[], None]:
    """One step of the shared network."""
    network = plain_network(FEATURES, hidden, dtype)
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    rows, target = torch.randn((BATCH, FEATURES), dtype=dtype), torch.randn((BATCH, 1), dtype=dtype)

    def step() -> None:
        adam.zero_grad(set_to_none=True)
        torch.square(network(rows) - target).mean().backward()
        adam.step()

    return several(step)


def personal_step(hidden: tuple[int, ...], case: tuple[str, int, str], precision: str) -> Callable[[], None]:
    """One step with person effects, as the fit makes it."""
    effects, persons, by = case
    data = rows_of(persons)
    config = NmeMlp(hidden=hidden, effects=effects, batch=BATCH, batch_by=by, precision=precision)  # pyright: ignore
    scaler, generator = fit_scaler(data, np.arange(data.n_rows), task="regression"), torch.Generator().manual_seed(1)
    module = Mlp(FEATURES, hidden, 1)
    shared = initial_parameters(module, generator=generator, dtype=getattr(torch, precision), device=CPU)
    layout = effect_layout(config, module, shared, scaler, None)
    state = start_state(shared, layout, persons, variance_rule(config, layout, module, shared))
    rows, _ = flat_rows(data, np.arange(data.n_rows), scaler, task="regression", like=state.eta)
    sweep = mini_batches(config, rows, module, state, generator)
    batches, diagonal = stream(sweep), torch.ones(layout.size, dtype=getattr(torch, precision))

    def step() -> None:
        batch = next(batches)
        sweep.gradients(batch, 0.5, diagonal)
        sweep.step(batch, 1e-3)

    return several(step)


def stream(sweep: MiniBatches) -> Iterator[Batch]:
    """Batches of one epoch after the other."""
    while True:
        yield from drawn_batches(sweep.rows, sweep.size, sweep.by, sweep.generator)


def several(once: Callable[[], None]) -> Callable[[], None]:
    """Some steps, so that a round is long enough to time."""

    def all_of_them() -> None:
        for _ in range(STEPS):
            once()

    return all_of_them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--precisions", nargs="*", default=["float32"])
    asked = parser.parse_args()
    found = {}
    for precision in asked.precisions:
        for name, hidden in NETWORKS.items():
            candidates = {"plain shared network": plain_step(hidden, getattr(torch, precision))}
            for case in CASES:
                effects, persons, by = case
                key = f"{effects}, {persons:,} persons, batches by {by}"
                candidates[key] = personal_step(hidden, case, precision)
            spent = interleave(candidates, asked.rounds)
            found[f"hidden {name}, {precision} (10 steps)"] = compare(spent)
    report("nme_step", found)


if __name__ == "__main__":
    main()
