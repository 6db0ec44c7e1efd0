"""Fitting a model to a study."""

from __future__ import annotations

import ast
import difflib
from pathlib import Path
from typing import Any

import toolkit.models as models
from toolkit.cli.answers import Answer
from toolkit.data.study import Study
from toolkit.errors import ConfigError
from toolkit.runs.manifest import MODEL_NAMES
from toolkit.runs.run import Data


def fit_study(  # noqa: PLR0913 - one argument per option of the command
    path: Path,
    model: str,
    target: str | None,
    out: Path | None,
    *,
    seed: int,
    device: str,
    overwrite: bool,
    resume: bool,
    split: str,
    options: dict[str, Any],
    settings: list[str],
) -> Answer:
    """Fit a model to a study; see the command for the arguments."""
    from toolkit.runs.fitting import fit

    study = Study.read(path)
    config = _config(model, {**options, **dict(_setting(word) for word in settings)})
    folder = out or Path("runs") / model
    run = fit(
        config,
        study_data(study, model, target),
        seed=seed,
        device=device,
        split=split,
        out=folder,
        overwrite=overwrite,
        resume=resume,
        study=study,
    )
    metrics = run.metrics()
    chosen = metrics[(metrics["scope"] == "mean") & (metrics["split"] == "test") & (metrics["level"] == "person")]
    scores = {row.metric: row.value for row in chosen.itertuples()}
    return Answer(
        text="\n".join(
            [
                str(run.manifest["status"]["sentence"]),
                "Mean per person on the test rows: "
                + ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
                + ".",
                f"Run folder: {folder}",
            ]
        ),
        data={"run": str(folder), "status": run.status.name, "converged": run.status.converged, "test": scores},
    )


def study_data(study: Study, model: str, target: str | None) -> Data:
    """The rows or sequences of a study that a model is fitted to."""
    if model.endswith("-crf"):
        return study.sequences(target or study.state)
    numeric = [name for name in study.targets if name != study.state]
    if target is not None and "," in target:
        return study.grouped([name.strip() for name in target.split(",")])
    return study.grouped(target or (numeric or list(study.targets))[0])


def _config(model: str, options: dict[str, Any]) -> models.Config:
    """The configuration of a model by its name on the command line."""
    classes = {name: kind for kind, name in MODEL_NAMES.items()}
    if model not in classes:
        near = difflib.get_close_matches(model, classes, n=1, cutoff=0.0)
        raise ConfigError(
            "this model is not known",
            code="E302",
            column="model",
            remedy=f"did you mean '{near[0]}'? Known: {', '.join(classes)}",
        )
    return getattr(models, classes[model])(**options)


def _setting(word: str) -> tuple[str, Any]:
    """``NAME=VALUE`` as a setting; values are written as in Python, words need no quotes."""
    name, mark, value = word.partition("=")
    if not mark:
        raise ConfigError("a setting is written NAME=VALUE", code="E302", column="--set")
    try:
        return name.strip(), ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name.strip(), value
