"""What the likelihood of a mixed model costs in a step of training, against squared errors.

Run as ``python -m benchmarks.peers.lmmnn_step [--rounds 9]``. One step is: rows of a batch, network of 100, 50, 25 and
12 units, loss, backward, AdamW. The first candidate has squared errors; the others the negative log-likelihood of the
batch with levels of one factor, with slopes, with three crossed factors, and the same by a dense batch covariance, as
the published code has it. 1,000 levels, single precision, one thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers.timing import compare, interleave, report
from toolkit.data.groupings import Grouping
from toolkit.models.additive_network import AdditiveMlp, start_parameters
from toolkit.models.linear_design import FactorEffectsOf
from toolkit.models.lmmnn_design import FactorRows, MixedRows
from toolkit.models.lmmnn_training import SIGMA2, MixedObjective, factor_parameters, start_variances
from toolkit.numerics.batch_likelihood import BatchFactor

ROWS, LEVELS, STEPS = 20_000, 1_000, 60


def problem(effects: tuple[int, ...], seed: int) -> MixedObjective:
    """Random rows, with one factor for each number of effects."""
    rng = np.random.default_rng(seed)
    module = AdditiveMlp(10, (100, 50, 25, 12))
    device = torch.device("cpu")
    parameters = start_parameters(
        module, generator=torch.Generator().manual_seed(seed), dtype=torch.float32, device=device
    )
    inputs = torch.as_tensor(rng.normal(size=(ROWS, 10)), dtype=torch.float32)
    target = torch.as_tensor(rng.normal(size=ROWS), dtype=torch.float32)
    rows, factors = [], []
    for place, size in enumerate(effects):
        codes = rng.integers(0, LEVELS, ROWS)
        design = None if size == 1 else torch.as_tensor(rng.normal(size=(ROWS, size)), dtype=torch.float32)
        rows.append(FactorRows(codes=torch.as_tensor(codes), design=design))
        grouping = Grouping(name=f"factor{place}", codes=codes, levels=tuple(str(k) for k in range(LEVELS)))
        slopes = (None, *(f"x{k}" for k in range(size - 1)))
        factors.append(
            factor_parameters(place, FactorEffectsOf(grouping=grouping, slopes=slopes, blocks=(size,)), device)
        )
    parameters |= start_variances(factors, like=target)
    return MixedObjective(
        module=module, parameters=parameters, factors=factors,
        rows=MixedRows(inputs=inputs, target=target, factors=tuple(rows), persons=rows[0].codes),
    )  # fmt: skip


def dense_nll(residual: Tensor, sigma2: Tensor, factors: list[BatchFactor]) -> Tensor:
    """The covariance of the whole batch, factored and differentiated as it is."""
    rows = residual.shape[0]
    covariance = sigma2 * torch.eye(rows)
    for factor in factors:
        same = (factor.codes[:, None] == factor.codes[None]).to(residual)
        design = residual.new_ones((rows, 1)) if factor.design is None else factor.design
        covariance = covariance + same * (design @ factor.relative @ factor.relative.T @ design.T)
    lower: Any = torch.linalg.cholesky(covariance)  # pyright: ignore[reportUnknownMemberType]
    solved = torch.cholesky_solve(residual[:, None], lower)[:, 0]
    return torch.log(torch.diagonal(lower)).sum() + 0.5 * residual @ solved


def steps(objective: MixedObjective, loss: Callable[[Tensor], Tensor], batch: int) -> Callable[[], None]:
    """A number of training steps."""
    trained = list(objective.parameters.values())
    for value in trained:
        value.requires_grad_(True)
    optimiser = torch.optim.AdamW(trained, lr=1e-3, fused=True)
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(0))

    def run() -> None:
        for rows in order.split(batch)[:STEPS]:
            optimiser.zero_grad(set_to_none=True)
            loss(rows).backward()
            optimiser.step()

    return run


def case(effects: tuple[int, ...], batch: int, rounds: int) -> dict[str, dict[str, float]]:
    """Squared errors, the likelihood, and the likelihood by a dense matrix."""
    plain, ours, dense = (problem(effects, seed=1) for _ in range(3))

    def squares(rows: Tensor) -> Tensor:
        return (plain.rows.target[rows] - plain.fixed(plain.rows.inputs[rows])).square().mean()

    def whole(rows: Tensor) -> Tensor:
        residual = dense.rows.target[rows] - dense.fixed(dense.rows.inputs[rows])
        factors = [
            BatchFactor(
                codes=own.codes[rows], design=None if own.design is None else own.design[rows],
                relative=factor.relative(dense.parameters),
            )
            for own, factor in zip(dense.rows.factors, dense.factors, strict=True)
        ]  # fmt: skip
        return dense_nll(residual, torch.exp(dense.parameters[SIGMA2]), factors) / len(rows)

    candidates = {
        "squared errors": steps(plain, squares, batch),
        "likelihood of the batch": steps(ours, lambda rows: ours(rows)["objective"], batch),
        "the same by a dense matrix": steps(dense, whole, batch),
    }
    return compare(interleave(candidates, rounds))


def main() -> None:
    """Time, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cases = {}
    for name, effects in (("levels", (1,)), ("levels and two slopes", (3,)), ("three crossed factors", (1, 1, 1))):
        for batch in (256, 512):
            cases[f"{name}, batch {batch}"] = case(effects, batch, chosen.rounds)
    report("lmmnn_step", cases)


if __name__ == "__main__":
    main()
