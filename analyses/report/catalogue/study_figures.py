"""Figures of models, studies and designs: comparisons, curves, choices, gates, ratings, known truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.figures import (
    adaptation_curve,
    covariate_slopes,
    gate_map,
    label_density,
    plausible_differences,
    power_curve,
    specification_curve,
    stability,
    true_effects,
)
from analyses.report.catalogue.building import built
from analyses.report.catalogue.comparing import model_means, person_by_person, with_less_data
from analyses.report.catalogue.entry import Built, Entry, FigureOptions
from analyses.report.catalogue.kept_results import kept_result, words_of
from analyses.report.catalogue.known_truth import effects_beside_truth
from toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun


def _choices(run: SavedRun, options: FigureOptions) -> Built:
    kept = kept_result(run, "multiverse", "analyze multiverse RUN")
    frame = specification_curve.tidy(kept.frame, summary=kept.summary)
    return built(specification_curve, frame, note=" ".join(kept.summary.get("notes") or []))


def _power(run: SavedRun, options: FigureOptions) -> Built:
    kept = kept_result(run, "power", "analyze power RUN --cell FROM,TO")
    note = " ".join(kept.summary.get("notes") or [])
    return built(power_curve, power_curve.tidy(kept.frame, summary=kept.summary), note=note)


def _stability(run: SavedRun, options: FigureOptions) -> Built:
    kept = kept_result(run, "stability", "analyze stability RUN --study study.toml")
    note = " ".join(kept.summary.get("notes") or [])
    return built(stability, stability.tidy(kept.frame), note=note)


def _slopes(run: SavedRun, options: FigureOptions) -> Built:
    command = "analyze differences RUN --covariate NAME --persons persons.csv"
    asked = words_of(options, "covariate")
    there = sorted(p.parent.name.removeprefix("slopes-") for p in run.path.glob("analyses/slopes-*/result.json"))
    if not asked and len(there) > 1:
        raise ConfigError(
            "several covariates were analysed; name one",
            code="E302",
            column="covariate",
            remedy=f"write covariate={there[0]}; there are: {', '.join(there)}",
        )
    kept = kept_result(run, f"slopes-{(asked or there or ['NAME'])[0]}", command)
    facts = {name: kept.summary[name] for name in ("covariate", "per", "scale")}
    return built(
        covariate_slopes, covariate_slopes.tidy(kept.frame, **facts), note=" ".join(kept.summary.get("notes") or [])
    )


def _plausible(run: SavedRun, options: FigureOptions) -> Built:
    value = options.value or "probability"
    kept = kept_result(run, f"plausible-{value}", f"analyze differences RUN --plausible 20 --value {value}")
    frame = plausible_differences.tidy(
        kept.frame, summary=kept.summary, scale=str((kept.summary.get("plug_in") or {}).get("scale", value))
    )
    percent = "Percent: share of the variance owed to not knowing persons exactly."
    return built(plausible_differences, frame, note=" ".join([percent, *(kept.summary.get("notes") or [])]))


def _adaptation(run: SavedRun, options: FigureOptions) -> Built:
    kept = kept_result(run, "adaptation", "analyze adaptation RUN OTHER_RUN --study study.toml")
    note = "Rows that a model adapted to are never among those it is judged on."
    return built(adaptation_curve, adaptation_curve.tidy(kept.frame), note=note)


def _gate(run: SavedRun, options: FigureOptions) -> Built:
    table = run.gate()
    known = list(dict.fromkeys(table["split"]))
    asked = words_of(options, "split")
    if set(asked) - set(known):
        raise ConfigError("the run has no such part", code="E302", column="split", remedy=f"it has: {', '.join(known)}")
    parts = asked or _telling_parts(table, known)
    words = {"train": "Training rows", "validation": "Validation rows", "test": "Test rows"}
    if len(parts) > 1 and not asked:
        words |= {"train": "Persons in training", "test": "New persons"}
    shown = table[table["split"].isin(parts)].sort_values("split", key=lambda s: s.map(parts.index), kind="stable")
    shown = shown.assign(split=[words.get(str(name), str(name)) if len(parts) > 1 else "" for name in shown["split"]])
    shown = shown.assign(expert=_numbered(shown))
    note = "" if len(parts) > 1 else f"Mean over the {words.get(parts[0], parts[0]).lower()} of each person."
    return built(gate_map, gate_map.tidy(shown), note=note)


def _numbered(table: pd.DataFrame) -> list[str]:
    """Experts by number: where every person has an expert, its name would be the person's."""
    numbers = {name: str(k + 1) for k, name in enumerate(dict.fromkeys(table["expert"].astype(str)))}
    return [numbers[str(name)] for name in table["expert"]]


def _telling_parts(table: pd.DataFrame, known: list[str]) -> list[str]:
    """Training and test rows where they belong to different persons; else the test rows, or what there is."""
    persons = {part: set(table.loc[table["split"] == part, "person"]) for part in known}
    if "test" not in known or "train" not in known:
        return known[:1]
    return ["train", "test"] if not persons["train"] & persons["test"] else ["test"]


def _ratings(run: SavedRun, options: FigureOptions) -> Built:
    asked = words_of(options, "targets") or list(run.targets[:2])
    if len(asked) != 2 or not set(asked) <= set(run.targets):
        raise DataError(
            "this figure needs a model of two numbers",
            code="E124",
            column="targets",
            remedy="fit pen to a study with two targets, such as the bundled valence-arousal"
            if len(run.targets) < 2
            else f"write targets=FIRST,SECOND; the run has: {', '.join(run.targets)}",
        )
    first, second = (run.predictions(name).set_index("row") for name in asked)
    source = first["person"].isin(set(first.loc[first["split"] == "train", "person"]))
    part = source.map({True: "Persons in training", False: "New persons"}) if not source.all() else "All persons"
    ratings = pd.DataFrame({"person": first["person"], "part": part, "x": first["truth"], "y": second["truth"]})
    note = "Every person has the same weight; outlines hold 50 and 90 % of a part’s ratings, the marks are their means."
    return built(label_density, label_density.tidy(ratings, x_name=asked[0], y_name=asked[1]), note=note)


def _truth(run: SavedRun, options: FigureOptions) -> Built:
    frame = true_effects.tidy(effects_beside_truth(run, words_of(options, "truth")))
    return built(true_effects, frame, note="The dashed line is perfect agreement.")


COMPARED = ("others", "unit", "resamples", "seed")
STUDY_FIGURES: tuple[Entry, ...] = (
    Entry(
        name="model-comparison",
        title="Several models on the same persons: mean metrics, marks and paired differences",
        needs="two or more runs of one study, split alike",
        build=model_means,
        options=COMPARED,
        settings=("metric", "split", "predictions", "names"),
    ),
    Entry(
        name="person-comparison",
        title="Two models person by person",
        needs="two runs of one study, split alike",
        build=person_by_person,
        options=("others",),
        settings=("metric", "target", "split", "predictions", "names"),
    ),
    Entry(
        name="less-data",
        title="Mean metric by share of each person’s training rows",
        needs="a kept result of nme analyze less-data",
        build=with_less_data,
        settings=("names",),
    ),
    Entry(
        name="multiverse",
        title="The group difference under every combination of choices",
        needs="a kept result of nme analyze multiverse",
        build=_choices,
    ),
    Entry(
        name="power",
        title="Power by number of persons or clusters and of transitions",
        needs="a kept result of nme analyze power",
        build=_power,
    ),
    Entry(
        name="stability",
        title="Which person effects come out alike when the model is fitted again",
        needs="a kept result of nme analyze stability",
        build=_stability,
    ),
    Entry(
        name="slopes",
        title="Change of every transition with a number per person",
        needs="a kept result of nme analyze differences --covariate",
        build=_slopes,
        settings=("covariate",),
    ),
    Entry(
        name="plausible",
        title="Differences of transitions with and without the uncertainty of every person",
        needs="a kept result of nme analyze differences --plausible",
        build=_plausible,
        options=("value",),
    ),
    Entry(
        name="adaptation",
        title="Prediction of new persons by the share of their rows used to adapt",
        needs="a kept result of nme analyze adaptation",
        build=_adaptation,
    ),
    Entry(
        name="gate-map",
        title="Mean gate weight of every expert for every person",
        needs="a model with experts (pen)",
        build=_gate,
        settings=("split",),
    ),
    Entry(
        name="label-density",
        title="Joint distribution of two targets in training persons and new persons",
        needs="a model of two numbers",
        build=_ratings,
        settings=("targets",),
    ),
    Entry(
        name="true-effects",
        title="Estimated against true effects of a simulated study",
        needs="a run of a simulated study and a table of the truth",
        build=_truth,
        settings=("truth",),
    ),
)
