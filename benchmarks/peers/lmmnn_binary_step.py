"""What the marginal likelihood of two classes costs in a step of training, against plain cross-entropy.

Run as ``python -m benchmarks.peers.lmmnn_binary_step [--rounds 9]``. One step is: rows of a batch, network of 100, 50,
25 and 12 units, loss, backward, AdamW. The first candidate has the cross-entropy without effects; the others integrate
an intercept of 100 or 10,000 levels by adaptive quadrature with 5 nodes and with 1 (Laplace), and take the expected
cross-entropy of the second half of a training. Single precision, one thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.peers.lmmnn_step import steps
from benchmarks.peers.timing import compare, interleave, report
from toolkit.data.groupings import Grouping
from toolkit.models.additive_network import AdditiveMlp, start_parameters
from toolkit.models.linear_design import FactorEffectsOf
from toolkit.models.lmmnn_binary import BinaryObjective
from toolkit.models.lmmnn_binary_whole import expected_cross_entropy
from toolkit.models.lmmnn_design import FactorRows, MixedRows
from toolkit.models.lmmnn_training import MixedObjective, factor_parameters, start_variances
from toolkit.numerics.mixed.design import Design, Factor

ROWS = 20_000


def problem(levels: int, nodes: int) -> BinaryObjective:
    """Random rows with an intercept of one factor."""
    rng = np.random.default_rng(1)
    module, device = AdditiveMlp(10, (100, 50, 25, 12)), torch.device("cpu")
    parameters = start_parameters(
        module, generator=torch.Generator().manual_seed(1), dtype=torch.float32, device=device
    )
    inputs = torch.as_tensor(rng.normal(size=(ROWS, 10)), dtype=torch.float32)
    codes, target = rng.integers(0, levels, ROWS), (rng.random(ROWS) < 0.5).astype(float)
    grouping = Grouping(name="factor", codes=codes, levels=tuple(str(k) for k in range(levels)))
    own = factor_parameters(0, FactorEffectsOf(grouping=grouping, slopes=(None,), blocks=(1,)), device)
    parameters |= {own.name: start_variances([own], like=inputs)[own.name]}
    rows = MixedRows(
        inputs=inputs,
        target=torch.as_tensor(target, dtype=torch.float32),
        factors=(FactorRows(codes=torch.as_tensor(codes), design=None),),
        persons=torch.as_tensor(codes),
    )
    factor = Factor(codes=codes, levels=levels, design=np.ones((ROWS, 1)), blocks=(1,))
    design = Design(outcome=target, fixed=np.ones((ROWS, 1)), factors=(factor,))
    mixed = MixedObjective(module=module, parameters=parameters, rows=rows, factors=[own])
    return BinaryObjective(mixed=mixed, design=design, nodes=nodes)


def case(levels: int, batch: int, rounds: int) -> dict[str, dict[str, float]]:
    """Cross-entropy beside the likelihoods."""
    plain, whole = problem(levels, 1), problem(levels, 1)
    zeros, ones = torch.zeros(batch), torch.ones(batch)

    def cross_entropy(rows: Tensor) -> Tensor:
        own = plain.mixed
        return binary_cross_entropy_with_logits(own.fixed(own.rows.inputs[rows]), own.rows.target[rows])

    def expected(rows: Tensor) -> Tensor:
        own, count = whole.mixed, len(rows)
        logits = own.fixed(own.rows.inputs[rows])
        return expected_cross_entropy(logits, own.rows.target[rows], zeros[:count], ones[:count])

    def likelihood(objective: BinaryObjective) -> Callable[[Tensor], Tensor]:
        return lambda rows: objective(rows)["objective"]

    five, one = problem(levels, 5), problem(levels, 1)
    candidates = {
        "cross-entropy without effects": steps(plain.mixed, cross_entropy, batch),
        "adaptive quadrature, 5 nodes": steps(five.mixed, likelihood(five), batch),
        "Laplace": steps(one.mixed, likelihood(one), batch),
        "expected cross-entropy (all rows)": steps(whole.mixed, expected, batch),
    }
    return compare(interleave(candidates, rounds))


def main() -> None:
    """Time, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cases = {
        f"{levels:,} levels, batches of {batch}": case(levels, batch, chosen.rounds)
        for levels in (100, 10_000)
        for batch in (256, 512)
    }
    report("lmmnn_binary_step", cases)


if __name__ == "__main__":
    main()
