"""The joint posterior of several grouping factors against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.effects.joint import MOST_DENSE, Factors, JointPosterior, factors_of, joint_posterior
from toolkit.effects.posterior import posterior_covariance
from toolkit.effects.problem import Problem, group_rows
from toolkit.errors import ConfigError


def spd(size: int, rng: np.random.Generator, count: int | None = None) -> torch.Tensor:
    shape = (size, size) if count is None else (count, size, size)
    root = rng.normal(size=shape)
    return torch.as_tensor(root @ np.swapaxes(root, -1, -2) + 0.1 * np.eye(size))


def random_case(
    levels: tuple[int, ...], sizes: tuple[int, ...], lines: int, seed: int
) -> tuple[Factors, torch.Tensor, list[torch.Tensor], float]:
    """Random levels (some lines without), curvatures and covariances."""
    rng = np.random.default_rng(seed)
    codes = tuple(torch.as_tensor(rng.integers(-1, count, size=lines)) for count in levels)
    factors = Factors(codes=codes, levels=levels, sizes=sizes)
    return factors, spd(sum(sizes), rng, lines), [spd(size, rng) for size in sizes], float(rng.uniform(0.2, 3.0))


def design(factors: Factors) -> torch.Tensor:
    """Which effect of all stands where in each line (lines, d of a line, all effects)."""
    total = sum(count * size for count, size in zip(factors.levels, factors.sizes, strict=True))
    found = torch.zeros((len(factors.codes[0]), sum(factors.sizes), total), dtype=torch.float64)
    start = row = 0
    for codes, count, size in zip(factors.codes, factors.levels, factors.sizes, strict=True):
        for line, code in enumerate(codes.tolist()):
            for k in range(size if code >= 0 else 0):
                found[line, row + k, start + code * size + k] = 1.0
        start, row = start + count * size, row + size
    return found


def dense(factors: Factors, curvature, covariances, weight) -> tuple[torch.Tensor, torch.Tensor]:
    """Posterior covariance and prior covariance of all effects."""
    chosen = design(factors)
    prior = torch.block_diag(
        *(cov for cov, count in zip(covariances, factors.levels, strict=True) for _ in range(count))
    )
    precision = torch.linalg.inv(prior) + weight * torch.einsum("lij,lia,ljb->ab", curvature, chosen, chosen)
    return torch.linalg.inv(precision), prior


def by_factor(factors: Factors, values: torch.Tensor) -> list[torch.Tensor]:
    counts = [count * size for count, size in zip(factors.levels, factors.sizes, strict=True)]
    return [
        part.reshape(count, size, -1)
        for part, count, size in zip(torch.split(values, counts), factors.levels, factors.sizes, strict=True)
    ]


@given(
    levels=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    sizes=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    lines=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_every_part_is_that_of_the_dense_inverse(levels, sizes, lines, seed):
    factors, curvature, covariances, weight = random_case(tuple(levels), tuple(sizes[: len(levels)]), lines, seed)
    at = joint_posterior(factors, curvature, covariances, weight)
    full, prior = dense(factors, curvature, covariances, weight)
    # blocks of the levels
    start = 0
    for found, count, size in zip(at.of_levels(), factors.levels, factors.sizes, strict=True):
        for level in range(count):
            place = slice(start + level * size, start + (level + 1) * size)
            torch.testing.assert_close(found[level], full[place, place], rtol=1e-7, atol=1e-9)
        start += count * size
    # what meets in a line
    chosen = design(factors)
    torch.testing.assert_close(at.of_lines(), chosen @ full @ chosen.transpose(1, 2), rtol=1e-7, atol=1e-9)
    # products
    values = torch.as_tensor(np.random.default_rng(seed).normal(size=(len(full), 2)))
    parts = by_factor(factors, values)
    flat = torch.cat([part.reshape(-1, 2) for part in at.covariance_times(parts)])
    torch.testing.assert_close(flat, full @ values, rtol=1e-7, atol=1e-9)
    inverse = torch.linalg.inv(prior)
    flat = torch.cat([part.reshape(-1, 2) for part in at.information_times(parts)])
    torch.testing.assert_close(flat, (inverse - inverse @ full @ inverse) @ values, rtol=1e-5, atol=1e-6)


def test_one_factor_alone_is_the_posterior_of_persons():
    factors, curvature, covariances, weight = random_case((4,), (3,), 4, 7)
    factors = Factors(codes=(torch.arange(4),), levels=(4,), sizes=(3,))
    found = joint_posterior(factors, curvature, covariances, weight).of_levels()[0]
    torch.testing.assert_close(found, posterior_covariance(curvature, covariances[0], weight))


def test_a_vanishing_variance_does_no_harm():
    factors, curvature, covariances, weight = random_case((5, 3), (1, 1), 20, 3)
    covariances[1] = torch.full((1, 1), 1e-14, dtype=torch.float64)
    at = joint_posterior(factors, curvature, covariances, weight)
    assert isinstance(at, JointPosterior)
    torch.testing.assert_close(at.of_levels()[1], torch.full((3, 1, 1), 1e-14, dtype=torch.float64))
    assert torch.isfinite(at.of_lines()).all()


def test_too_many_levels_beside_the_largest_are_refused():
    empty = torch.zeros(1, dtype=torch.int64)
    part = Problem(
        module=torch.nn.Identity(), inputs=torch.zeros(1, 1, 1), persons=empty, loss=lambda out, _: out.sum(dim=(1, 2)),
        rows=1, further=empty[:, None],
    )  # fmt: skip
    with pytest.raises(ConfigError, match="too many") as caught:
        factors_of(part, [torch.zeros(MOST_DENSE + 2, 1), torch.zeros(MOST_DENSE + 1, 1)])
    assert caught.value.code == "E302"


def test_rows_that_agree_in_every_factor_form_a_line():
    codes = np.array([[0, 1], [1, 0], [0, 1], [0, 0], [1, 0]])
    groups = group_rows(codes)
    assert groups.persons.tolist() == [0, 0, 1]
    assert groups.further[:, 0].tolist() == [0, 1, 0]
    assert groups.index.tolist() == [[3, -1], [0, 2], [1, 4]]
    assert groups.line.tolist() == [1, 2, 1, 0, 2]
    assert groups.place.tolist() == [0, 0, 1, 0, 1]
