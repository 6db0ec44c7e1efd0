"""Chain likelihood and decoding beside pytorch-crf and torch-struct: ``python -m benchmarks.peers.crf``.

Likelihood means its gradient too. Sequences are ragged, 60 to 100 % of the full length; float32. Also: the error of
the float32 gradient against float64. torch-struct is left out where it is not installed, or where it
would need more than a few gigabytes.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.timing import RESULTS, compare, interleave, report
from toolkit.numerics import chain

# batch, time, states, rounds
SIZES = [(64, 50, 4, 25), (64, 500, 4, 9), (256, 500, 4, 9), (64, 50, 16, 15), (256, 500, 16, 9)]
LARGEST_FOR_STRUCT = 64 * 500 * 16  # entries of its potentials, over states squared


def scores(batch: int, time: int, states: int, seed: int = 1) -> dict[str, Tensor]:
    """Ragged sequences with uniform labels, one shared matrix and one per sequence."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(int(0.6 * time), time + 1, (batch,), generator=generator)
    lengths[0] = time
    return {
        "emissions": torch.randn((batch, time, states), generator=generator).requires_grad_(True),
        "states": torch.randint(states, (batch, time), generator=generator),
        "shared": torch.randn((states, states), generator=generator).requires_grad_(True),
        "own": torch.randn((batch, states, states), generator=generator).requires_grad_(True),
        "mask": torch.arange(time) < lengths[:, None],
    }


def likelihood_slope(given: dict[str, Tensor], matrix: str) -> tuple[Tensor, ...]:
    """Gradient of the summed likelihood of ours."""
    loglik = chain.log_likelihood(given["emissions"], given["states"], given[matrix], given["mask"])
    return torch.autograd.grad(loglik.sum(), [given["emissions"], given[matrix]])


def crf_layer(given: dict[str, Tensor]) -> Any:
    """pytorch-crf's layer with our matrix and no start or end scores."""
    from torchcrf import CRF

    layer = CRF(given["shared"].shape[0], batch_first=True)
    with torch.no_grad():
        layer.transitions.copy_(given["shared"])
        layer.start_transitions.zero_()
        layer.end_transitions.zero_()
    return layer


def struct_slope(given: dict[str, Tensor]) -> Callable[[], Any] | None:
    """The same gradient, a matrix per sequence, from torch-struct."""
    try:
        from torch_struct import LinearChainCRF  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    lengths = given["mask"].sum(dim=1)
    states = given["own"].shape[1]
    if given["emissions"].numel() * states > LARGEST_FOR_STRUCT * 4:
        return None

    def call() -> Any:
        # potentials (batch, time - 1, to, from); the first holds the first emission as well
        potentials = given["own"].transpose(1, 2)[:, None] + given["emissions"][:, 1:, :, None]
        first = torch.nn.functional.pad(given["emissions"][:, :1, None, :], (0, 0, 0, 0, 0, potentials.shape[1] - 1))
        model = LinearChainCRF((potentials + first).contiguous(), lengths=lengths)
        labels = given["states"].clone()
        steps = LinearChainCRF.struct.to_parts(labels, states, lengths=lengths).type_as(potentials)
        return torch.autograd.grad(model.log_prob(steps).sum(), [given["emissions"], given["own"]])

    return call


def cases(given: dict[str, Tensor]) -> dict[str, dict[str, Callable[[], Any]]]:
    """What is compared with what."""
    layer = crf_layer(given)
    emissions, states, mask = (given[name] for name in ("emissions", "states", "mask"))
    fixed = emissions.detach()

    def theirs() -> tuple[Tensor, ...]:
        total = layer(emissions, states, mask=mask, reduction="sum")
        return torch.autograd.grad(total, [emissions, layer.transitions])

    gradient: dict[str, Callable[[], Any]] = {
        "ours": lambda: likelihood_slope(given, "shared"),
        "ours, a matrix per sequence": lambda: likelihood_slope(given, "own"),
        "pytorch-crf": theirs,
    }
    own: dict[str, Callable[[], Any]] = {"ours": lambda: likelihood_slope(given, "own")}
    struct = struct_slope(given)
    if struct is not None:
        own["torch-struct"] = struct
    decoding: dict[str, Callable[[], Any]] = {
        "ours": lambda: chain.viterbi(fixed, given["shared"].detach(), mask),
        "ours, a matrix per sequence": lambda: chain.viterbi(fixed, given["own"].detach(), mask),
        "pytorch-crf": lambda: layer.decode(fixed, mask=mask),
    }
    found = {"likelihood and gradient": gradient, "most likely path": decoding}
    return found if struct is None else {**found, "a matrix per sequence, likelihood and gradient": own}


def gradient_error(given: dict[str, Tensor], matrix: str) -> float:
    """Largest error of the float32 gradient by emissions against float64."""
    single = likelihood_slope(given, matrix)[0]
    wide = {
        name: value.detach().double().requires_grad_(True) if value.is_floating_point() else value
        for name, value in given.items()
    }
    return float((single.double() - likelihood_slope(wide, matrix)[0]).abs().max())


def main() -> None:
    """Run all sizes; write benchmarks/results/crf.json."""
    found: dict[str, Any] = {}
    errors: dict[str, float] = {}
    for batch, time, states, rounds in SIZES:
        given = scores(batch, time, states)
        size = f"{batch} x {time} x {states}"
        for name, calls in cases(given).items():
            found[f"{name}, {size}"] = compare(interleave(calls, rounds))
        for matrix in ("shared", "own"):
            errors[f"{matrix} matrix, {size}"] = gradient_error(given, matrix)
    report("crf", found)
    place = RESULTS / "crf.json"
    kept = json.loads(place.read_text(encoding="utf-8"))
    kept["float32 gradient by emissions, largest error against float64"] = errors
    place.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print("\nlargest error of the float32 gradient")
    for name, value in errors.items():
        print(f"  {name:42s} {value:.1e}")


if __name__ == "__main__":
    torch.set_num_threads(1)  # threadpoolctl does not reach every thread of torch
    warnings.simplefilter("ignore")
    main()
