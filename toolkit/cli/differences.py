"""The command that compares transitions: between groups, all pairs of groups, or along a covariate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analyses import compare_transitions
from analyses.base_rate_adjustment import excess_from_probabilities, excess_transitions
from analyses.covariate_slopes import transition_slopes
from analyses.matrices import transition_matrices
from analyses.pairwise_transitions import compare_groups
from analyses.plausible_transitions import plausible_of_run
from toolkit.cli.analyses import all_matrices, chosen_unit, grouped_matrices, unit_name, units
from toolkit.cli.answers import Answer
from toolkit.cli.keeping import kept
from toolkit.data.readers import read_table
from toolkit.errors import ConfigError, DataError
from toolkit.results import Result
from toolkit.runs.folder import SavedRun, load_run
from toolkit.runs.kept import Recipe, near


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceOptions:
    """What the command line asked for; see `analyses.transitions.compare_transitions` for the words."""

    value: str = "probability"
    unit: str = "auto"
    resamples: int = 10_000
    level: float = 0.95
    method: str = "auto"
    scale: str = "auto"
    structural: str = "keep"
    permutations: int = 0
    adjust_base_rates: bool = False
    between: str | None = None
    covariate: str | None = None
    persons: Path | None = None
    per: float = 1.0
    plausible: int = 0
    seed: int = 1


def differences(path: Path, options: DifferenceOptions) -> Answer:
    """Compare the transitions of a run between groups, or along a covariate."""
    run = load_run(path)
    _check_together(options)
    options = replace(options, unit=chosen_unit(run, options.unit))
    if options.covariate is not None:
        return _along_covariate(run, options)
    persons, matrices, group = grouped_matrices(run, options.value)
    asked = np.isin(group, _asked_groups(group, options.between))
    persons, matrices, group = [p for p, k in zip(persons, asked, strict=True) if k], matrices[asked], group[asked]
    labels = sorted(set(group))
    if options.adjust_base_rates:
        matrices = _adjusted(run, persons, matrices, options.value)
    unit = units(run, persons, options.unit)
    if len(labels) == 2 and options.plausible:
        found = _plausible(run, persons, group, labels, unit, options)
        recipe = _recipe(run, "plausible", options, labels)
        return kept(run, f"plausible-{options.value}", found, recipe, transitions=options.value)
    shared: dict[str, Any] = {**_shared(run, options), "unit": unit}
    name = f"differences-{options.value}" + ("-adjusted" if options.adjust_base_rates else "")
    if len(labels) == 2:
        pair = compare_transitions(
            matrices,
            group == labels[1],
            group_names=_pair(run, labels),
            permutations=options.permutations,
            **shared,
        )
        recipe = _recipe(run, "differences", options, labels)
        return kept(run, name, pair, recipe, transitions=options.value)
    if options.permutations or options.plausible:
        raise ConfigError(
            f"this is for two groups; the run has {len(labels)}",
            code="E302",
            column="permutations" if options.permutations else "plausible",
            remedy="choose two groups by --between A,B",
        )
    pairs = compare_groups(matrices, group, group_names=_words(run, labels), **shared)
    recipe = _recipe(run, "differences-pairs", options, labels)
    return kept(run, name, pairs, recipe, transitions=options.value)


def _shared(run: SavedRun, options: DifferenceOptions) -> dict[str, Any]:
    """What comparisons of two groups and of several take alike."""
    return {
        "unit_name": unit_name(run, options.unit),
        "states": run.states,
        "resamples": options.resamples,
        "method": options.method,
        "level": options.level,
        "scale": "excess" if options.adjust_base_rates else options.scale,
        "structural": options.structural,
        "rng": np.random.default_rng(options.seed),
    }


def _recipe(run: SavedRun, command: str, options: DifferenceOptions, labels: list[str]) -> Recipe:
    """What was asked, with what ``auto`` stood for; of two groups the one that is subtracted from comes first."""
    paired = command != "differences-pairs"
    asked = {
        "groups": [labels[1], labels[0]] if paired else labels,
        "group_names": list(_pair(run, labels) if paired else _words(run, labels)),
        "unit_name": unit_name(run, options.unit),
        "scale": "excess" if options.adjust_base_rates else options.scale,
        "adjusted": options.adjust_base_rates,
        "draws": options.plausible,
    }
    same = ("value", "unit", "resamples", "level", "method", "structural", "permutations", "seed")
    return Recipe(command=command, options={name: getattr(options, name) for name in same} | asked)


def _check_together(options: DifferenceOptions) -> None:
    """Refuse options that would be ignored."""
    alone = {
        "covariate": ("between", "permutations", "plausible", "adjust_base_rates"),
        "plausible": ("permutations", "adjust_base_rates"),
    }
    for first, others in alone.items():
        clash = [name for name in others if getattr(options, first) and getattr(options, name)]
        if clash:
            raise ConfigError(
                f"--{first} and --{clash[0].replace('_', '-')} do not go together", code="E302", column=clash[0]
            )
    if options.plausible and (options.scale, options.structural, options.method) != ("auto", "keep", "auto"):
        raise ConfigError("--plausible has its own method and scale", code="E302", column="plausible")
    if options.covariate is not None and options.method != "auto":
        raise ConfigError("--covariate has its own method", code="E302", column="method")
    if options.covariate is None and (options.per != 1.0 or options.persons is not None):
        raise ConfigError("--per and --persons belong to --covariate", code="E302", column="covariate")
    if options.adjust_base_rates and (options.value == "score" or options.scale not in ("auto", "excess")):
        raise ConfigError(
            "base rates are adjusted for with probabilities, on a scale of their own", code="E302", column="value"
        )


def _asked_groups(group: np.ndarray, between: str | None) -> list[str]:
    """All groups, or the two named."""
    found = sorted(set(group))
    if between is None:
        return found
    asked = [name.strip() for name in between.split(",")]
    if len(asked) != 2 or not set(asked) <= set(found):
        raise ConfigError(
            "--between takes two groups of this run, separated by a comma",
            code="E302",
            column="between",
            remedy=f"its groups are: {', '.join(found)}",
        )
    return asked


def _words(run: SavedRun, labels: list[str]) -> tuple[str, ...]:
    words = run.manifest["study"]["group_labels"]
    return tuple(words.get(label, label) for label in labels)


def _pair(run: SavedRun, labels: list[str]) -> tuple[str, str]:
    """Names of the second and the first label: differences are second minus first."""
    first, second = _words(run, labels)
    return second, first


def _adjusted(run: SavedRun, persons: list[str], matrices: np.ndarray, value: str) -> np.ndarray:
    """Share of each person's transitions beyond what base rates and the common association let expect."""
    names, _, counts = transition_matrices(run.transitions(), "observed", states=run.states)
    place = {name: k for k, name in enumerate(names)}
    mine = counts[[place[name] for name in persons]]
    if value == "observed":
        return excess_transitions(mine)
    share = np.nansum(mine, axis=2) + 0.5
    return excess_from_probabilities(matrices, share / share.sum(axis=1, keepdims=True))


def _plausible(
    run: SavedRun,
    persons: list[str],
    group: np.ndarray,
    labels: list[str],
    unit: np.ndarray | None,
    options: DifferenceOptions,
) -> Result:
    return plausible_of_run(
        run,
        group == labels[1],
        persons,
        unit=unit,
        unit_name=unit_name(run, options.unit),
        value=options.value,
        draws=options.plausible,
        resamples=options.resamples,
        level=options.level,
        group_names=_pair(run, labels),
        rng=np.random.default_rng(options.seed),
    )


def _along_covariate(run: SavedRun, options: DifferenceOptions) -> Answer:
    """Slopes on a number per person: from the run's persons table, or from a csv file with a column person."""
    name = str(options.covariate)
    table = run.persons() if options.persons is None else read_table(options.persons, text_columns=("person",))
    if "person" not in table:
        raise DataError(
            "the table of persons has no column person", code="E103", column="person", remedy="add their pseudonyms"
        )
    if name not in table or not pd.api.types.is_numeric_dtype(table[name]):
        numbers = [str(column) for column in table.select_dtypes("number").columns]
        raise DataError(
            "there is no such column of numbers", code="E103", column=name, remedy=f"found: {', '.join(numbers)}"
        )
    persons, matrices = all_matrices(run, options.value)
    values = table.set_index("person")[name].reindex(persons).to_numpy(dtype=np.float64)
    known = np.isfinite(values)
    if not known.any():
        raise DataError(
            "no person of the run has a value", code="E111", column=name, remedy="persons go by their pseudonyms"
        )
    used = [person for person, there in zip(persons, known, strict=True) if there]
    settings = {
        "unit_name": unit_name(run, options.unit),
        "per": options.per,
        "resamples": options.resamples,
        "level": options.level,
        "scale": options.scale,
        "structural": options.structural,
    }
    result = transition_slopes(
        matrices[known],
        values[known],
        unit=units(run, used, options.unit),
        states=run.states,
        covariate_name=name,
        rng=np.random.default_rng(options.seed),
        **settings,
    )
    asked = {key: getattr(options, key) for key in ("covariate", "value", "unit", "seed")}
    asked["persons"] = "" if options.persons is None else near(run, options.persons)
    recipe = Recipe(command="slopes", options={**asked, **settings})
    answer = kept(run, f"slopes-{name}", result, recipe, transitions=options.value)
    if known.all():
        return answer
    return Answer(
        text=f"{answer.text}\n{int((~known).sum())} persons have no value and are left out.", data=answer.data
    )
