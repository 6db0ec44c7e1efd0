"""One training step with 1,000 experts against one of the shared network, and how memory grows with experts.

Run as ``python -m benchmarks.peers.pen_step [--rounds 9]``. A step is batch 256, two targets: objective, gradient,
Adam. The shared network trains extractor and head (step 1 of the paper); experts and gate train on extracted
features, the extractor frozen (last stage). Cases: a small convolutional network on 32 x 32 images, a perceptron 512-64
on 2,048 features, one of 100-50-25-12 on 50 features, and no extractor on 2,048 features, where the shared network is a
single linear layer. Process CPU time, one thread, interleaved rounds. Memory: highest resident size of a process of its
own that makes ten steps. Result in ``benchmarks/results/pen_step.json``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.peers.timing import RESULTS, compare, interleave, report
from toolkit.models import Extractor, Pen, PenShared
from toolkit.models import experts as algebra
from toolkit.models.expert_groups import ExpertGroups
from toolkit.models.extractors import FeatureMap, extractor_parameters, feature_map
from toolkit.models.pen import PenConfig
from toolkit.models.pen_objectives import extract, mixture_terms, shared_terms
from toolkit.models.pen_rows import Rows, Trainee

BATCH, EXPERTS, OUTPUTS, STEPS = 256, 1_000, 2, 10
Step = Callable[[], None]


def convolutions() -> nn.Module:
    """A small convolutional network with 64 outputs."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, 64),
    )  # fmt: skip


CASES: dict[str, tuple[int, tuple[int, ...], bool]] = {
    "convolutions on 32 x 32 images": (3 * 32 * 32, (), True),
    "perceptron 512-64 on 2,048 features": (2_048, (512, 64), False),
    "perceptron 100-50-25-12 on 50 features": (50, (100, 50, 25, 12), False),
    "no extractor, 2,048 features": (2_048, (), False),
}


def steps_of(case: str, experts: int) -> dict[str, Step]:
    """One step with experts, one of the shared network, on the same rows."""
    features, hidden, images = CASES[case]
    own = Extractor(module=convolutions(), shape=(3, 32, 32), frozen=False) if images else None
    settings: dict[str, Any] = {"hidden": hidden, "extractor": own, "precision": "float32"}
    mapped = feature_map(hidden, own, features)
    drawn = torch.Generator().manual_seed(1)
    rows = torch.randn((BATCH, features), generator=drawn)
    targets = torch.randn((BATCH, OUTPUTS), generator=drawn)
    parameters = start(mapped, experts, drawn)
    batch = torch.arange(BATCH)

    def trainee(config: PenConfig) -> Trainee:
        groups = torch.arange(BATCH) % max(experts, 1)
        part = Rows(features=rows, targets=targets, groups=groups, map=mapped)
        part.extracted = mapped.all_outputs(parameters, rows)
        return Trainee(config=config, task="regression", parameters=parameters, train=part, validation=None)

    shared, pen = trainee(PenShared(**settings)), trainee(Pen(**settings))
    config = pen.config
    assert isinstance(config, Pen)
    groups = ExpertGroups(names=(), of_person=batch.numpy(), per_group=1, members=())
    return {
        "experts": step(
            parameters, (*algebra.EXPERTS, *algebra.GATE), lambda: mixture_terms(pen, config, batch, groups)
        ),
        "shared network": step(
            parameters, (*mapped.trained, *algebra.HEAD),
            lambda: shared_terms(shared, extract(shared.train, parameters, batch), batch),
        ),
    }  # fmt: skip


def start(mapped: FeatureMap, experts: int, drawn: torch.Generator) -> dict[str, torch.Tensor]:
    """Parameters of extractor, head, experts and gate."""
    found = extractor_parameters(mapped, generator=drawn, dtype=torch.float32, device=torch.device("cpu"))
    shapes = {
        algebra.HEAD_WEIGHT: (OUTPUTS, mapped.size),
        algebra.HEAD_BIAS: (OUTPUTS,),
        algebra.EXPERT_WEIGHT: (experts, OUTPUTS, mapped.size),
        algebra.EXPERT_BIAS: (experts, OUTPUTS),
        algebra.GATE_WEIGHT: (experts, mapped.size),
        algebra.GATE_BIAS: (experts,),
    }
    return found | {name: 0.01 * torch.randn(shape, generator=drawn) for name, shape in shapes.items()}


def step(parameters: dict[str, torch.Tensor], names: tuple[str, ...], objective: Callable[[], Any]) -> Step:
    """Objective, gradient and Adam over some of the parameters."""
    trained = [parameters[name].requires_grad_(True) for name in names]
    adam = torch.optim.Adam(trained, lr=1e-3)

    def once() -> None:
        adam.zero_grad(set_to_none=True)
        objective()["objective"].backward()
        adam.step()

    return once


def several(once: Step) -> Step:
    """Some steps, so that a round is long enough to time."""

    def all_of_them() -> None:
        for _ in range(STEPS):
            once()

    return all_of_them


def resident(experts: int, answer: Any) -> None:
    """Highest resident size of this process, in MB, after some steps with so many experts."""
    torch.set_num_threads(1)
    several(steps_of("perceptron 512-64 on 2,048 features", experts)["experts"])()
    # the resource module's figure would be the parent's where that was larger
    status = Path("/proc/self/status").read_text(encoding="ascii")
    answer.put(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024)


def memory() -> dict[int, float]:
    """Highest resident size by number of experts, each in a process of its own."""
    found = {}
    spawn = multiprocessing.get_context("spawn")
    for experts in (10, 1_000, 2_000, 4_000, 8_000):
        answer = spawn.Queue()
        process = spawn.Process(target=resident, args=(experts, answer))
        process.start()
        found[experts] = answer.get()
        process.join()
    return found


def main() -> None:
    """Time, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cases = {}
    for case in CASES:
        ours = {name: several(once) for name, once in steps_of(case, EXPERTS).items()}
        cases[case] = compare(interleave({name: ours[name] for name in ("shared network", "experts")}, chosen.rounds))
    report("pen_step", cases)
    sizes = memory()
    print("highest resident size in MB by number of experts:", {name: round(size) for name, size in sizes.items()})
    path = RESULTS / "pen_step.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**kept, "resident_mb": sizes}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
