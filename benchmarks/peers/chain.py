"""Chain likelihood, gradient and decoding beside pytorch-crf: ``python -m benchmarks.peers.chain``.

Also: one batched call with a matrix per sequence beside a loop over persons. For information; no number is promised.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.timing import compare, interleave, report
from toolkit.numerics import chain

BATCH, TIME, STATES, ROUNDS = 64, 50, 4, 15


def scores(seed: int = 1) -> dict[str, Tensor]:
    """Sequences of 25 to 50 steps with uniform labels, one shared matrix and one per sequence."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(TIME // 2, TIME + 1, (BATCH,), generator=generator)
    lengths[0] = TIME
    return {
        "emissions": torch.randn((BATCH, TIME, STATES), generator=generator).requires_grad_(True),
        "states": torch.randint(STATES, (BATCH, TIME), generator=generator),
        "transitions": torch.randn((STATES, STATES), generator=generator).requires_grad_(True),
        "own": torch.randn((BATCH, STATES, STATES), generator=generator).requires_grad_(True),
        "mask": torch.arange(TIME) < lengths[:, None],
    }


def slope(loglik: Tensor, given: dict[str, Tensor], matrix: str) -> tuple[Tensor, ...]:
    """Gradient of the summed likelihood."""
    return torch.autograd.grad(loglik.sum(), [given["emissions"], given[matrix]])


def crf_layer(given: dict[str, Tensor]) -> Any:
    """pytorch-crf's layer with our matrix and no start or end scores."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchcrf import CRF

    layer = CRF(STATES, batch_first=True)
    with torch.no_grad():
        layer.transitions.copy_(given["transitions"])
        layer.start_transitions.zero_()
        layer.end_transitions.zero_()
    return layer


def by_person(given: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """One call per sequence with its own matrix."""
    logliks = [
        chain.log_likelihood(
            given["emissions"][row : row + 1],
            given["states"][row : row + 1],
            given["own"][row],
            given["mask"][row : row + 1],
        )
        for row in range(BATCH)
    ]
    return slope(torch.cat(logliks), given, "own")


def cases(given: dict[str, Tensor]) -> dict[str, dict[str, Callable[[], Any]]]:
    """What is compared with what."""
    layer = crf_layer(given)
    emissions, states, matrix, mask = (given[name] for name in ("emissions", "states", "transitions", "mask"))

    def ours(name: str) -> tuple[Tensor, ...]:
        return slope(chain.log_likelihood(emissions, states, given[name], mask), given, name)

    def theirs() -> tuple[Tensor, ...]:
        total = layer(emissions, states, mask=mask, reduction="sum")
        return torch.autograd.grad(total, [emissions, layer.transitions])

    return {
        "likelihood and its gradient": {"ours": lambda: ours("transitions"), "pytorch-crf": theirs},
        "most likely path": {
            "ours": lambda: chain.viterbi(emissions.detach(), matrix.detach(), mask),
            "pytorch-crf": lambda: layer.decode(emissions.detach(), mask=mask),
        },
        "a matrix per sequence, likelihood and gradient": {
            "ours, one call": lambda: ours("own"),
            "ours, a loop over sequences": lambda: by_person(given),
        },
    }


if __name__ == "__main__":
    torch.set_num_threads(1)  # threadpoolctl does not reach every thread of torch
    warnings.simplefilter("ignore")
    size = f"{BATCH} x {TIME} x {STATES}, float32"
    report(
        "chain",
        {f"{name}, {size}": compare(interleave(calls, ROUNDS)) for name, calls in cases(scores()).items()},
    )
