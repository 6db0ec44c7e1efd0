"""The likelihood of a batch with a random field against torch's dense normal, derivatives by torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from toolkit.numerics.batch_likelihood import BatchDesign, BatchFactor
from toolkit.numerics.spatial.batch import BatchField, field_batch_nll
from toolkit.numerics.spatial.kernels import KERNELS, correlation
from toolkit.numerics.spatial.names import KernelName

ROWS, PLACES = 30, 12


def _oracle(
    residual: Tensor, sigma2: Tensor, field: BatchField, factors: list[BatchFactor], designs: list[BatchDesign]
) -> Tensor:
    """Written out: every row against every row."""
    where = field.places[field.codes]
    squared = (where[:, None] - where).square().sum(dim=2)
    # the square root has no derivative at zero, and none is asked for
    matrix = field.variance * correlation(field.kernel, squared, field.reach) + sigma2 * torch.eye(ROWS).double()
    for own in factors:
        z = torch.ones(ROWS, 1).double() if own.design is None else own.design
        turned = z @ own.relative
        matrix = matrix + (own.codes[:, None] == own.codes) * (turned @ turned.T)
    for dense in designs:
        matrix = matrix + dense.sd**2 * dense.columns @ dense.columns.T
    return -MultivariateNormal(torch.zeros(ROWS).double(), matrix).log_prob(residual)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("beside", ["nothing", "factors", "designs"])
def test_value_is_the_dense_normal_and_gradients_are_its_own(kernel: KernelName, beside: str) -> None:
    draw = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    leaves = {
        "residual": normal(ROWS), "sigma2": torch.tensor(0.7).double(), "variance": torch.tensor(1.3).double(),
        "reach": torch.tensor(0.8).double(), "one": torch.tensor([[0.6]]).double(),
        "two": torch.tril(normal(2, 2)), "columns": normal(ROWS, 40), "sd": torch.tensor(0.4).double(),
    }  # fmt: skip
    for leaf in leaves.values():
        leaf.requires_grad_(True)
    field = BatchField(
        codes=torch.randint(0, PLACES, (ROWS,), generator=draw), places=normal(PLACES, 2), kernel=kernel,
        variance=leaves["variance"], reach=leaves["reach"],
    )  # fmt: skip
    factors, designs = list[BatchFactor](), list[BatchDesign]()
    if beside == "factors":
        codes = torch.randint(0, 6, (2, ROWS), generator=draw)
        factors.append(BatchFactor(codes=codes[0], design=None, relative=leaves["one"]))
        factors.append(BatchFactor(codes=codes[1], design=normal(ROWS, 2), relative=leaves["two"]))
    if beside == "designs":
        designs.append(BatchDesign(columns=leaves["columns"], sd=leaves["sd"]))
    ours = field_batch_nll(leaves["residual"], leaves["sigma2"], field, factors, designs)
    theirs = _oracle(leaves["residual"], leaves["sigma2"], field, factors, designs)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-10)
    step = 1e-5
    gradients = torch.autograd.grad(ours, list(leaves.values()), allow_unused=True)
    for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True):
        if gradient is None:
            continue
        direction = torch.tril(normal(*leaf.shape)) if leaf.dim() == 2 and name != "columns" else normal(*leaf.shape)
        values = []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                leaf += sign * step * direction
                values.append(float(_oracle(leaves["residual"], leaves["sigma2"], field, factors, designs)))
                leaf -= sign * step * direction
        numeric = (values[0] - values[1]) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=1e-5, abs=1e-6), name


def test_single_precision_networks_get_single_precision_gradients() -> None:
    residual = torch.randn(40, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
    field = BatchField(
        codes=torch.arange(40) % 9, places=torch.linspace(0, 1, 18).reshape(9, 2), kernel="rbf",
        variance=torch.tensor(5.0), reach=torch.tensor(100.0),
    )  # fmt: skip
    loss = field_batch_nll(residual, torch.tensor(1e-3), field)
    loss.backward()  # pyright: ignore[reportUnknownMemberType] - torch carries no types here
    assert loss.dtype == torch.float32
    assert residual.grad is not None
    assert bool(torch.isfinite(residual.grad).all())
