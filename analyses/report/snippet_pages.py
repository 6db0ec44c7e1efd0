"""Code of the analyses that only the dashboard makes: averages of groups, p-values over persons and over families."""

from __future__ import annotations

from collections.abc import Callable

from analyses.report.snippet_parts import (
    NUMPY,
    SMOOTHED,
    Code,
    Raw,
    call,
    from_matrices,
    generator,
    literal,
    picked,
    unit,
)
from toolkit.runs.kept import Recipe


def _group_means(recipe: Recipe) -> Code:
    o = recipe.options
    body = [
        f"persons, _, matrices = transition_matrices(run.transitions(), {literal(o['value'])}, states=run.states)",
        *(["matrices = observed_transitions(matrices, smoothing=0)"] if o["value"] == "observed" else []),
        'group = run.persons().set_index("person")["group"].reindex(list(persons)).to_numpy(dtype=object)',
        f"result = group_means(matrices, {'group' if o['groups'] else 'None'})",
    ]
    first, second = o["groups"] or ("", "")
    shown = f"print(result[{first!r}].mean - result[{second!r}].mean)" if o["groups"] else 'print(result[""].mean)'
    imports = ["from analyses.group_means import group_means", SMOOTHED]
    return Code(imports=imports, body=body, shown=shown)


def _both_units(recipe: Recipe) -> Code:
    o = recipe.options
    keywords = picked(o, "unit_name", "permutations")
    body = [
        "matrices = {}",
        "for value in " + literal(list(o["values"])) + ":",
        "    persons, _, found = transition_matrices(run.transitions(), value, states=run.states)",
        '    matrices[value] = observed_transitions(found) if value == "observed" else found',
        'people = run.persons().set_index("person").loc[list(persons)]',
        f'used = people["group"].isin({list(o["groups"])!r}).to_numpy()',
        "used = used & np.all([np.isfinite(found).all(axis=(1, 2)) for found in matrices.values()], axis=0)",
        'people = people[used].assign(cluster=people["cluster"].fillna("person " + people.index.to_series()))',
        "result = naive_against_block(",
        "    {value: found[used] for value, found in matrices.items()},",
        '    people["group"].astype(str).to_numpy(),',
        f"    {unit({'unit': 'cluster'}).text},",  # pyright: ignore[reportOptionalMemberAccess]
        *[f"    {name}={literal(value)}," for name, value in keywords.items()],
        f"    rng={generator(o).text},",
        ")",
    ]
    return Code(imports=[NUMPY, "from analyses.naive_block import naive_against_block", SMOOTHED], body=body)


def _group_test(recipe: Recipe) -> Code:
    """The group test: the kernel test, its effect size and the intervals, each test with a stream of its own."""
    o = recipe.options
    clustered, first = o["unit"] == "cluster", o["groups"][0]
    kernel = picked(o, "kernel", "bandwidth_multiple")
    named = o["unit_name"] if clustered else None
    shuffled = {
        "unit": Raw("None if inside else unit") if clustered else None,
        "unit_name": Raw(f"None if inside else {named!r}") if clustered else None,
        "strata": Raw("unit if inside else None") if clustered else None,
        "permutations": o["permutations"], **kernel,
    }  # fmt: skip
    effect = {"unit": shuffled["unit"], "unit_name": shuffled["unit_name"], **kernel, "level": o["level"]}
    compare = {
        "unit": Raw("unit") if clustered else None, "unit_name": named, "states": Raw("run.states"),
        "resamples": o["permutations"], "level": o["level"], "group_names": o["group_names"], "rng": Raw("streams[2]"),
    }  # fmt: skip
    naive = {"permutations": o["permutations"], **kernel, "rng": Raw("streams[1]")}
    test = call("hsic_test", "matrices", "group", keywords=shuffled | {"rng": Raw("streams[0]")})
    body = [
        *_tested_persons(o["value"], o["groups"]),
        *(_families() if clustered else []),
        f"streams = np.random.default_rng({literal(int(o['seed']))}).spawn(3)",
        test.replace("result", "hsic", 1),
        call("hsic_test", "matrices", "group", keywords=naive).replace("result", "naive", 1) if clustered else "",
        call("compare_transitions", "matrices", f"group == {first!r}", keywords=compare),
        "try:",
        *_indented(call("hsic_effect_size", "matrices", "group", keywords=effect).replace("result", "effect", 1)),
        "except DataError:  # too few persons for an effect size",
        "    effect = None",
        'summary = {"hsic": hsic.summary(), "naive_p": ' + ("naive.pvalue" if clustered else "None")
        + ', "differences": result.summary()}',
        'summary["effect"] = None if effect is None else effect.summary()',
    ]  # fmt: skip
    shown = 'print(hsic.text(), result.text(), f"{hsic.apa()} {result.apa()}", sep="\\n\\n")'
    imports = [NUMPY, "from analyses import compare_transitions, hsic_test", from_matrices(o["value"]),
               "from analyses.hsic_effect import hsic_effect_size", "from toolkit.errors import DataError"]  # fmt: skip
    return Code(imports=imports, body=[part for part in body if part], shown=shown)


def _tested_persons(value: str, groups: list[str]) -> list[str]:
    """Lines that give ``matrices``, ``people`` and ``group`` of the persons who take part."""
    return [
        f"persons, _, matrices = transition_matrices(run.transitions(), {literal(value)}, states=run.states)",
        *(["matrices = observed_transitions(matrices)"] if value == "observed" else []),
        'people = run.persons().set_index("person").loc[list(persons)]',
        f'used = people["group"].isin({list(groups)!r}).to_numpy() & np.isfinite(matrices).all(axis=(1, 2))',
        "matrices, people = matrices[used], people[used]",
        'group = people["group"].astype(str).to_numpy()',
    ]


def _families() -> list[str]:
    """Lines that give ``unit``, and whether the group varies ``inside`` one."""
    return [
        "# a person outside every family is a family of one",
        'unit = people["cluster"].fillna("person " + people.index.to_series()).to_numpy(dtype=object)',
        'inside = bool((people.groupby(unit)["group"].nunique() > 1).any())',
    ]


def _indented(code: str) -> list[str]:
    return [f"    {line}" for line in code.split("\n")]


PAGE_PARTS: dict[str, Callable[[Recipe], Code]] = {
    "group-means": _group_means,
    "group-test": _group_test,
    "naive-block": _both_units,
}
