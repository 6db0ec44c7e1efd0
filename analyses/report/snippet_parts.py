"""Code of every analysis of one run or several: one function a kind of analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.runs.kept import Recipe

NUMPY = "import numpy as np"
MATRICES = "from analyses.matrices import transition_matrices"
SMOOTHED = "from analyses.matrices import observed_transitions, transition_matrices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Imports and lines that end in a ``result``.

    Attributes:
        several: whether further runs are opened, as ``runs``. study: whether a study is read. shown: how the
            result is printed, where not by its two sentences.
    """

    imports: Sequence[str]
    body: Sequence[str]
    several: bool = False
    study: bool = False
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Raw:
    """A piece of code where a literal would stand."""

    text: str


def call(name: str, *given: str, keywords: Mapping[str, Any]) -> str:
    """``result = name(a, b, key=value)``, one argument a line."""
    lines = [*given, *(f"{key}={literal(value)}" for key, value in keywords.items())]
    inside = "\n".join(f"    {line}," for line in lines)
    return f"result = {name}(\n{inside}\n)"


def literal(value: Any) -> str:
    """A value as Python writes it.

    Raises:
        TypeError: for a value that is no plain number, word, None, or list or mapping of these.
    """
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, list | tuple):
        return f"({', '.join(literal(part) for part in value)}{',' if len(value) == 1 else ''})"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, dict):  # settings of several grouping factors
        return "{" + ", ".join(f"{literal(key)}: {literal(entry)}" for key, entry in value.items()) + "}"
    raise TypeError


def generator(options: Mapping[str, Any]) -> Raw:
    """The random numbers: of a seed, or of a seed and the name of a stream."""
    seed = literal(int(options["seed"]))
    stream = options.get("stream")
    return Raw(
        f"np.random.default_rng({seed})" if stream is None else f"np.random.default_rng([{seed}, *{_b(stream)}])"
    )


def _b(stream: str) -> str:
    return repr(str(stream).encode())


def picked(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Some of the settings, all of which have to be there."""
    return {name: options[name] for name in names}


def grouped(value: str, *, groups: Sequence[str] | None = None) -> list[str]:
    """Lines that give ``matrices`` and ``people`` of the persons with a group."""
    of_groups = "" if groups is None else f' & people["group"].isin({list(groups)!r})'
    lines = [
        "table = run.transitions()",
        f"persons, _, matrices = transition_matrices(table, {literal(value)}, states=run.states)",
        *(["matrices = observed_transitions(matrices)"] if value == "observed" else []),
        'people = run.persons().set_index("person").loc[list(persons)]',
        f'used = (people["group"].notna(){of_groups}).to_numpy()',
    ]
    return [*lines, "matrices, people = matrices[used], people[used]"]


def from_matrices(value: str) -> str:
    """The import that `grouped` needs."""
    return SMOOTHED if value == "observed" else MATRICES


def unit(options: Mapping[str, Any]) -> Raw | None:
    """Label of each person's family or site, where whole ones are resampled."""
    return Raw('people["cluster"].to_numpy(dtype=object)') if options["unit"] == "cluster" else None


GROUP = 'people["group"].to_numpy(dtype=object)'


def _hsic(recipe: Recipe) -> Code:
    o = recipe.options
    inside = o.get("within") == "cluster"
    names = ("unit_name", "match_sizes", "kernel", "bandwidth_multiple", "method", "stop_after", "alpha",
             "probabilities", "effect_size", "permutations")  # fmt: skip
    keywords = {
        "unit": unit(o),
        "strata": Raw('people["cluster"].to_numpy(dtype=object)') if inside else None,
        **{name: o[name] for name in names if name in o},
        "rng": generator(o),
    }
    body = [*grouped(o["value"]), call("hsic_test", "matrices", GROUP, keywords=keywords)]
    return Code(imports=[NUMPY, "from analyses import hsic_test", from_matrices(o["value"])], body=body)


def _pair(recipe: Recipe) -> Code:
    o = recipe.options
    first = o["groups"][0]
    keywords = {"unit": unit(o), "states": Raw("run.states"), **_shared(o), "rng": generator(o)}
    body = [*grouped(o["value"], groups=o["groups"]), *_adjusting(o)]
    keywords |= picked(o, "group_names")
    if o.get("permutations"):
        keywords |= picked(o, "permutations")
    body.append(call("compare_transitions", "matrices", f"{GROUP} == {first!r}", keywords=keywords))
    imports = [NUMPY, "from analyses import compare_transitions", from_matrices(o["value"])]
    return Code(imports=[*imports, *_adjusting_import(o)], body=body)


def _pairs(recipe: Recipe) -> Code:
    o = recipe.options
    keywords = {"unit": unit(o), "states": Raw("run.states"), **_shared(o), "rng": generator(o)}
    keywords |= picked(o, "group_names")
    body = [*grouped(o["value"], groups=o["groups"]), *_adjusting(o)]
    body.append(call("compare_groups", "matrices", GROUP, keywords=keywords))
    imports = [NUMPY, "from analyses import compare_groups", from_matrices(o["value"])]
    return Code(imports=[*imports, *_adjusting_import(o)], body=body)


def _shared(options: Mapping[str, Any]) -> dict[str, Any]:
    names = ("unit_name", "resamples", "method", "level", "scale", "structural")
    return {name: options[name] for name in names if name in options}


def _adjusting(options: Mapping[str, Any]) -> list[str]:
    """Lines that take out what base rates let expect."""
    if not options.get("adjusted"):
        return []
    counts = 'counts = transition_matrices(table, "observed", states=run.states)[2][used]'
    if options["value"] == "observed":
        return [counts, "matrices = excess_transitions(counts)"]
    return [
        counts,
        "share = np.nansum(counts, axis=2) + 0.5",
        "matrices = excess_from_probabilities(matrices, share / share.sum(axis=1, keepdims=True))",
    ]


def _adjusting_import(options: Mapping[str, Any]) -> list[str]:
    if not options.get("adjusted"):
        return []
    name = "excess_transitions" if options["value"] == "observed" else "excess_from_probabilities"
    return [f"from analyses.base_rate_adjustment import {name}"]


def _plausible(recipe: Recipe) -> Code:
    o = recipe.options
    keywords = {"unit": unit(o), **picked(o, "unit_name", "value", "draws", "resamples", "level", "group_names")}
    keywords["rng"] = generator(o)
    in_group = f"{GROUP} == {o['groups'][0]!r}"
    body = [*grouped(o["value"], groups=o["groups"])]
    body.append(call("plausible_of_run", "run", in_group, "list(people.index)", keywords=keywords))
    imports = [NUMPY, "from analyses.plausible_transitions import plausible_of_run", from_matrices(o["value"])]
    return Code(imports=imports, body=body)


def _slopes(recipe: Recipe) -> Code:
    o = recipe.options
    smoothed = o["value"] == "observed"
    table = "run.persons()" if not o["persons"] else f'read_table(RUN / {o["persons"]!r}, text_columns=("person",))'
    keywords = {
        "unit": Raw('run.persons().set_index("person")["cluster"].loc[used].to_numpy(dtype=object)')
        if o["unit"] == "cluster"
        else None,
        "states": Raw("run.states"),
        "covariate_name": o["covariate"],
        **picked(o, "unit_name", "per", "resamples", "level", "scale", "structural"),
        "rng": generator(o),
    }
    body = [
        f"persons, _, matrices = transition_matrices(run.transitions(), {literal(o['value'])}, states=run.states)",
        *(["matrices = observed_transitions(matrices)"] if smoothed else []),
        f'values = {table}.set_index("person")[{o["covariate"]!r}].reindex(persons).to_numpy(dtype=np.float64)',
        "known = np.isfinite(values)",
        "used = [person for person, there in zip(persons, known) if there]",
        call("transition_slopes", "matrices[known]", "values[known]", keywords=keywords),
    ]
    imports = [NUMPY, "from analyses import transition_slopes", from_matrices(o["value"])]
    return Code(
        imports=[*imports, *(["from toolkit.data.readers import read_table"] if o["persons"] else [])], body=body
    )


def _base_rates(recipe: Recipe) -> Code:
    o = recipe.options
    of_unit = Raw('rows["cluster"].to_numpy(dtype=object)') if o["unit"] == "cluster" else None
    keywords = {
        "person": Raw('rows["person"].to_numpy(dtype=object)'),
        "unit": of_unit,
        "unit_name": o["unit_name"] if of_unit is not None else None,
        "states_order": Raw("run.states"),
        **picked(o, "permutations", "level"),
        "rng": generator(o),
    }
    body = [
        'people = run.persons()[["person", "group", "cluster"]]',
        'rows = run.predictions().merge(people, on="person")',
        'rows = rows[rows["group"].notna()]',
        *([f'rows = rows[rows["split"] == {o["split"]!r}]'] if o["split"] else []),
        'words = run.manifest["study"]["group_labels"]',
        'group = rows["group"].map(lambda label: words.get(label, label))',
        call(
            "base_rate_test",
            'rows["truth"].to_numpy(dtype=object)',
            "group.to_numpy(dtype=object)",
            keywords=keywords,
        ),
    ]
    return Code(imports=[NUMPY, "from analyses import base_rate_test"], body=body)


def _baseline(recipe: Recipe) -> Code:
    o = recipe.options
    keywords = {
        "parameters": None if o["parameter"] is None else Raw(f"[{o['parameter']!r}]"),
        **picked(o, "unit", "resamples", "permutations", "level"),
        "rng": generator(o),
    }
    body = [call("baseline_report", "run", keywords=keywords)]
    return Code(imports=[NUMPY, "from analyses.baseline_report import baseline_report"], body=body)


def _bias_baseline(recipe: Recipe) -> Code:
    """One correlation of the last bias with the baseline (the demonstration's)."""
    o = recipe.options
    body = [
        "effects = run.random_effects()",
        f'mine = effects[effects["parameter"] == {o["parameter"]!r}].rename(columns={{"level": "person"}})',
        'joined = mine[["person", "estimate"]].merge(run.persons()[["person", "baseline"]], on="person")',
        'joined = joined.dropna(subset=["baseline"])',
        call(
            "bias_baseline",
            'joined["estimate"].to_numpy()',
            'joined["baseline"].to_numpy()',
            keywords={"resamples": o["resamples"], "rng": generator(o)},
        ),
    ]
    return Code(imports=[NUMPY, "from analyses import bias_baseline"], body=body)


PARTS: dict[str, Callable[[Recipe], Code]] = {
    "hsic": _hsic,
    "differences": _pair,
    "differences-pairs": _pairs,
    "plausible": _plausible,
    "slopes": _slopes,
    "base-rates": _base_rates,
    "baseline": _baseline,
    "bias-baseline": _bias_baseline,
}
