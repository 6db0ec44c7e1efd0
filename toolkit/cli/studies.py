"""Fitting a model to a study."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import toolkit.models as models
from toolkit.cli.answers import Answer
from toolkit.data.further_factors import effects_of_factors
from toolkit.data.study import Study
from toolkit.effects.formula import RandomTerm
from toolkit.errors import ConfigError
from toolkit.runs.manifest import MODEL_NAMES
from toolkit.runs.run import Data, Run

# uNME of the paper: person effects without a prior, for comparison
UNREGULARISED = {"unme-mlp": "nme-mlp", "unme-crf": "nme-crf"}


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
    groupings: str | None = None,
) -> Answer:
    """Fit a model to a study; see the command for the arguments."""
    from toolkit.runs.fitting import fit

    study = Study.read(path)
    config = _config(model, {**options, **dict(_setting(word) for word in settings)})
    config, further, notes = with_factors(config, study, groupings)
    folder = out or Path("runs") / model
    run = fit(
        config,
        study_data(study, model, target, further),
        seed=seed,
        device=device,
        split=split,
        out=folder,
        overwrite=overwrite,
        resume=resume,
        study=study,
    )
    targets = [str(name) for name in run.manifest["targets"]]
    by_target = {name: _scores(run, name) for name in targets}
    return Answer(
        text="\n".join(
            [
                *notes,
                str(run.manifest["status"]["sentence"]),
                *(_told(scores, name if len(targets) > 1 else "") for name, scores in by_target.items()),
                f"Run folder: {folder}",
            ]
        ),
        data={
            "run": str(folder),
            "status": run.status.name,
            "converged": run.status.converged,
            "test": by_target[targets[0]],
            **({"test_by_target": by_target} if len(targets) > 1 else {}),
            "groupings": further,
        },
    )


def _scores(run: Run, target: str) -> dict[str, float]:
    """Mean metrics over persons on the test rows of one target."""
    metrics = run.metrics(target)
    chosen = metrics[(metrics["scope"] == "mean") & (metrics["split"] == "test") & (metrics["level"] == "person")]
    return {str(name): float(value) for name, value in zip(chosen["metric"], chosen["value"], strict=True)}


def _told(scores: Mapping[str, float], target: str) -> str:
    """Metrics as a sentence."""
    listed = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
    return f"Mean per person on the test rows{f' ({target})' if target else ''}: {listed}."


def study_data(study: Study, model: str, target: str | None, groupings: Sequence[str] = ()) -> Data:
    """The rows or sequences of a study that a model is fitted to.

    Args:
        study: the study.
        model: name on the command line.
        target: column, several with commas; the study's first number, or its states.
        groupings: further grouping factors the model has effects of.
    """
    if model.endswith("-crf"):
        return study.sequences(target or study.state, groupings=groupings)
    numeric = [name for name in study.targets if name != study.state]
    if target is not None and "," in target:
        return study.grouped([name.strip() for name in target.split(",")], groupings=groupings)
    return study.grouped(target or (numeric or list(study.targets))[0], groupings=groupings)


def with_factors(
    config: models.Configuration, study: Study, asked: str | None
) -> tuple[models.Configuration, tuple[str, ...], list[str]]:
    """The configuration with the effects of further grouping factors, these factors, and what is to be said.

    Args:
        config: the settings so far; effects and covariance are the persons'.
        study: names the factors and what varies by them.
        asked: columns with commas, ``none``, or None for those of the study.

    Raises:
        ConfigError: E302 for a model without such effects where they were asked for, or a person among them.
    """
    from toolkit.models.several_factors import takes_further_factors

    names = _asked_factors(study, asked)
    if not names:
        return config, (), []
    if not takes_further_factors(config):
        if asked is not None:
            raise ConfigError(
                "this model has effects of persons only, or none",
                code="E302",
                column="--groupings",
                remedy="leave the option out, or fit nme-mlp or nme-crf",
            )
        listed = ", ".join(names)
        return config, (), [f"This model has no effects of {listed}; the study's grouping factors are left out."]
    if isinstance(config, models.Lmm | models.Glmm | models.Lmmnn | models.McGmenn):
        return (*_with_random(config, study, names), [])
    if isinstance(config, models.OneHotMlp | models.EmbeddingMlp | models.TargetEncodingMlp):
        return config, names, []
    assert isinstance(config, models.NmeMlp | models.NmeCrf)
    known = {factor.name: factor for factor in study.groupings}
    settings = effects_of_factors([known[name] for name in names], study.person, config.effects, config.covariance)
    plain = {name: getattr(config, name) for name in config.model_fields_set}
    return type(config)(**{**plain, **settings}), names, []


def _with_random(
    config: models.Lmm | models.Glmm | models.Lmmnn | models.McGmenn, study: Study, names: tuple[str, ...]
) -> tuple[models.Configuration, tuple[str, ...]]:
    """A mixed model: the factors that its random effects name, or levels of every factor of the study."""
    if config.terms is not None:
        named = {term.grouping for term in config.terms}
        return config, tuple(name for name in names if name in named)
    if getattr(config, "spatial", None) is not None:
        return config, ()  # places only, as in Python
    terms = tuple(RandomTerm(grouping=name) for name in (study.person, *names))
    plain = {name: getattr(config, name) for name in config.model_fields_set}
    return type(config)(**{**plain, "random": terms}), names


def _asked_factors(study: Study, asked: str | None) -> tuple[str, ...]:
    """Further grouping factors by name: those asked for, or the study's."""
    if asked is None:
        return study.grouping_names
    names = tuple(name.strip() for name in asked.split(",") if name.strip())
    if names == ("none",):
        return ()
    unknown = [name for name in names if name not in study.grouping_names]
    if unknown:
        raise ConfigError(
            f"the study has no grouping factor '{unknown[0]}'",
            code="E302",
            column="--groupings",
            remedy=f"write [groupings.{unknown[0]}] into the study file, so that its labels become pseudonyms"
            + (f"; it has: {', '.join(study.grouping_names)}" if study.groupings else ""),
        )
    return names


def _config(model: str, options: dict[str, Any]) -> models.Configuration:
    """The configuration of a model by its name on the command line."""
    classes = {name: kind for kind, name in MODEL_NAMES.items()}
    if model in UNREGULARISED:
        return getattr(models, classes[UNREGULARISED[model]])(**{"variance_update": "unregularised", **options})
    if model not in classes:
        near = difflib.get_close_matches(model, [*classes, *UNREGULARISED], n=1, cutoff=0.0)
        raise ConfigError(
            "this model is not known",
            code="E302",
            column="model",
            remedy=f"did you mean '{near[0]}'? Known: {', '.join([*classes, *UNREGULARISED])}",
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
