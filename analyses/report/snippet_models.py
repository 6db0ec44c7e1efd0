"""Code of the analyses around a finding: variance, drivers, several runs, fits made again."""

from __future__ import annotations

from collections.abc import Callable

from analyses.report.snippet_parts import NUMPY, Code, Raw, call, generator, literal, picked
from toolkit.runs.kept import Recipe


def _variance(recipe: Recipe) -> Code:
    o = recipe.options
    keywords = {**picked(o, "unit", "split", "method", "resamples"), "rng": generator(o)}
    body = [call("variance_of_run", "run", keywords=keywords)]
    return Code(imports=[NUMPY, "from analyses.variance import variance_of_run"], body=body)


def _drivers(recipe: Recipe) -> Code:
    o = recipe.options
    body = [call("drivers_of_run", "run", literal(o["cell"]), keywords=picked(o, "value", "unit", "groups", "level"))]
    return Code(imports=["from analyses.drivers_run import drivers_of_run"], body=body)


def _comparison(recipe: Recipe) -> Code:
    o = recipe.options
    keywords = {
        **picked(o, "metrics", "split"),
        **{name: o[name] for name in ("level_name", "target") if name in o},
        **picked(o, "unit", "baseline", "correction", "resamples"),
        "rng": generator(o),
    }
    body = [call("compare_runs", "runs", keywords=keywords)]
    return Code(imports=[NUMPY, "from analyses.run_comparison import compare_runs"], body=body, several=True)


def _multiverse(recipe: Recipe) -> Code:
    o = recipe.options
    varied = ("values", "kernels", "multiples", "diagonals")
    keywords = {
        **picked(o, "names"),
        **{name: o[name] for name in varied if name in o},
        **picked(o, "unit", "permutations", "alpha"),
        "rng": generator(o),
    }
    body = [call("multiverse_of_runs", "runs", keywords=keywords)]
    imports = [NUMPY, "from analyses.multiverse_runs import multiverse_of_runs"]
    return Code(imports=imports, body=body, several=True)


def _power(recipe: Recipe) -> Code:
    o = recipe.options
    names = ("difference", "clusters", "transitions", "cluster_size", "correlation", "simulations", "hsic")
    start, end = (f"states.index({state!r})" for state in o["cell"])
    keywords = {
        "cell": Raw(f"({start}, {end})"),
        **picked(o, *names),
        "states": Raw("states"),
        "notes": Raw("notes"),
        "rng": generator(o),
    }
    body = [
        f"scores, variances, states, notes = model_of_run(run, {o['base']!r})",
        call("power_curve", "scores", "variances", keywords=keywords),
    ]
    imports = [NUMPY, "from analyses import power_curve", "from analyses.power import model_of_run"]
    return Code(imports=imports, body=body)


def _stability(recipe: Recipe) -> Code:
    """Of finished runs, or of fits made again."""
    o = recipe.options
    shared = picked(o, "method", "resamples", "seed")
    home = "from toolkit.cli.repeat_fits import"
    if not recipe.study:
        body = [call("stability_of_runs", "runs", keywords=shared)]
        return Code(imports=[f"{home} stability_of_runs"], body=body, several=True)
    body = [call("stability_of_refits", "run", "STUDY", keywords=picked(o, "refits", "repeats") | shared)]
    return Code(imports=[f"{home} stability_of_refits"], body=body, study=True)


def _less_data(recipe: Recipe) -> Code:
    o = recipe.options
    body = [
        call(
            "fit_less_data",
            "{one.name: config_of(one) for one in runs}",
            "same_data(run, STUDY)",
            keywords={
                "seed": Raw('run.manifest["seed"]'),
                "rng": Raw(f"np.random.default_rng({int(o['seed'])})"),
                "device": "cpu",
            },
        ).replace("result", "table", 1),
        call(
            "learning_curve",
            "table",
            literal(o["metric"]),
            keywords={**picked(o, "resamples"), "rng": Raw(f"np.random.default_rng({int(o['seed'])})")},
        ),
    ]
    imports = [
        NUMPY,
        "from analyses.learning_curve import learning_curve",
        "from toolkit.cli.repeat_fits import config_of, same_data",
        "from toolkit.runs.repeats import fit_less_data",
    ]
    return Code(imports=imports, body=body, several=True, study=True)


MODEL_PARTS: dict[str, Callable[[Recipe], Code]] = {
    "variance": _variance,
    "drivers": _drivers,
    "comparison": _comparison,
    "multiverse": _multiverse,
    "power": _power,
    "stability": _stability,
    "less-data": _less_data,
}
