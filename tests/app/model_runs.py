"""Real fits of a small study with every family of models, and examples of chains in the same folder."""

from __future__ import annotations

from pathlib import Path

from example_run import write_example

from tests.models.experts_study import rows_of, study
from toolkit import fit
from toolkit.models import Lmm, NmeCrf, NmeMlp, Pen, SpecificMlp

QUICK = {"head_epochs": 3, "gate_epochs": 3, "epochs": 3, "lr": 0.02, "batch": 64}


def write_model_runs(home: Path) -> Path:
    """One run of each kind: nme-crf, nme-mlp, specific-mlp, lmm, pen; chains as examples."""
    frame = study(persons=12, rows=12)
    numbers = rows_of(frame, target="valence", cluster="family", group="arm")
    configs = {
        "lmm": Lmm(random="(1 | who)"),
        "pen": Pen(**QUICK),
        "nme-mlp": NmeMlp(epochs=3, hidden=(4,), variance_update="paper"),
        "specific-mlp": SpecificMlp(epochs=3, hidden=(4,)),
    }
    for name, config in configs.items():
        fit(config, numbers, seed=1, out=home / name, progress=None)
    states = rows_of(frame, target="state", cluster="family", group="arm")
    fit(
        NmeCrf(epochs=3, hidden=(3,), effects="T", variance_update="paper"),
        states,
        seed=1,
        out=home / "real-nme-crf",
        progress=None,
    )
    write_example(home / "nme-crf")
    write_example(home / "generic-crf", model="generic-crf")
    write_example(home / "generic-mlp", model="generic-mlp")
    return home
