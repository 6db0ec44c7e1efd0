"""Code of the analyses that only the dashboard makes: averages of groups, p-values over persons and over families."""

from __future__ import annotations

from collections.abc import Callable

from analyses.report.snippet_parts import NUMPY, SMOOTHED, Code, generator, literal, picked, unit
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
        "used &= np.all([np.isfinite(found).all(axis=(1, 2)) for found in matrices.values()], axis=0)",
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


PAGE_PARTS: dict[str, Callable[[Recipe], Code]] = {"group-means": _group_means, "naive-block": _both_units}
