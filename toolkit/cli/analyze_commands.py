"""``nme analyze``: what each analysis takes from the command line. Imports are made inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import LEFT_OUT, UNITS, AsJson, RunFolder, RunFolders, Seed


def register(analyze: typer.Typer) -> None:
    """Add the commands to ``nme analyze``."""
    analyze.command("hsic")(analyze_hsic)
    analyze.command("differences")(analyze_differences)
    analyze.command("baseline")(analyze_baseline)
    analyze.command("variance")(analyze_variance)
    analyze.command("likelihood-ratio")(analyze_likelihood_ratio)
    analyze.command("stability")(analyze_stability)
    analyze.command("less-data")(analyze_less_data)
    analyze.command("multiverse")(analyze_multiverse)
    analyze.command("power")(analyze_power)


def analyze_hsic(  # noqa: PLR0913 - one argument per option of the command
    run: RunFolder,
    value: Annotated[str, typer.Option(help="score, probability, expected or observed.")] = "score",
    unit: Annotated[str, typer.Option(help=UNITS)] = "auto",
    within: Annotated[
        str | None, typer.Option(help="'cluster': shuffle groups within clusters only, where the group varies inside.")
    ] = None,
    match_sizes: Annotated[
        bool | None,
        typer.Option(
            "--match-sizes/--all-sizes",
            help="Clusters trade groups with clusters of equal size only; by default where sizes go with the group.",
        ),
    ] = None,
    kernel: Annotated[str, typer.Option(help="gaussian, laplace, linear or discrete.")] = "gaussian",
    bandwidth_multiple: Annotated[float, typer.Option(help="Bandwidth, as a multiple of the median rule's.")] = 1.0,
    method: Annotated[
        str, typer.Option(help="auto (exact where few ways to shuffle exist), exact, permutation or gamma.")
    ] = "auto",
    stop_after: Annotated[
        int | None, typer.Option(help="Stop once so many permutations reach the observed value, such as 20.")
    ] = None,
    effect_size: Annotated[
        bool, typer.Option("--effect-size", help="Add normalised HSIC and the energy coefficient with intervals.")
    ] = False,
    alpha: Annotated[float, typer.Option(help="Level of significance.")] = 0.05,
    permutations: Annotated[int, typer.Option(help="Random permutations.")] = 9_999,
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """Do the groups' transition matrices differ? Kernel permutation test."""
    from toolkit.cli.analyses import hsic

    answer = hsic(
        run,
        value=value,
        unit=unit,
        within=within,
        match_sizes=match_sizes,
        kernel=kernel,
        bandwidth_multiple=bandwidth_multiple,
        method=method,
        stop_after=stop_after,
        effect_size=effect_size,
        alpha=alpha,
        permutations=permutations,
        seed=seed,
    )
    answer.show(json)


def analyze_differences(  # noqa: PLR0913 - one argument per option of the command
    run: RunFolder,
    value: Annotated[str, typer.Option(help="probability, expected, observed or score.")] = "probability",
    unit: Annotated[str, typer.Option(help=UNITS)] = "auto",
    between: Annotated[
        str | None, typer.Option(help="Two of several groups, such as A,B; all pairs by default.")
    ] = None,
    covariate: Annotated[
        str | None,
        typer.Option(help="Slopes on a number per person instead: a column of the run's persons, or see next."),
    ] = None,
    persons: Annotated[
        Path | None, typer.Option(help="Table with the columns person (pseudonyms) and the covariate.")
    ] = None,
    per: Annotated[float, typer.Option(help="Units of the covariate a slope stands for, such as 10 years.")] = 1.0,
    plausible: Annotated[
        int, typer.Option(help="Sets of plausible values, such as 20: how unsure each person's matrix is counts.")
    ] = 0,
    adjust_base_rates: Annotated[
        bool, typer.Option("--adjust-base-rates", help="How states follow one another beyond how often they occur.")
    ] = False,
    method: Annotated[
        str, typer.Option(help="auto (symmetric bootstrap-t), symmetric-t, bootstrap-t, percentile or bca.")
    ] = "auto",
    scale: Annotated[str, typer.Option(help="auto, probability, score or logit.")] = "auto",
    structural: Annotated[
        str, typer.Option(help="Transitions that never occur in anybody: keep, drop or renormalise.")
    ] = "keep",
    permutations: Annotated[int, typer.Option(help="Also permutation p-values per cell; 0 for none.")] = 0,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 10_000,
    level: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.95,
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """By how much do transitions differ between groups, or along a covariate? Intervals of every cell."""
    from toolkit.cli.differences import DifferenceOptions, differences

    options = DifferenceOptions(
        value=value,
        unit=unit,
        between=between,
        covariate=covariate,
        persons=persons,
        per=per,
        plausible=plausible,
        adjust_base_rates=adjust_base_rates,
        method=method,
        scale=scale,
        structural=structural,
        permutations=permutations,
        resamples=resamples,
        level=level,
        seed=seed,
    )
    differences(run, options).show(json)


def analyze_baseline(
    run: RunFolder,
    parameter: Annotated[
        str | None, typer.Option(help="Person effect; the last bias, or the bias of each state, by default.")
    ] = None,
    unit: Annotated[str, typer.Option(help=UNITS)] = "auto",
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 10_000,
    permutations: Annotated[int, typer.Option(help="Shuffles of the baselines over persons.")] = 9_999,
    level: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.95,
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """Do person-specific biases follow the persons' baseline levels, in training and in held-out rows?"""
    from toolkit.cli.analyses import baseline

    answer = baseline(
        run, parameter=parameter, unit=unit, resamples=resamples, permutations=permutations, level=level, seed=seed
    )
    answer.show(json)


def analyze_variance(
    run: RunFolder,
    unit: Annotated[str, typer.Option(help=UNITS)] = "auto",
    split: Annotated[str | None, typer.Option(help="train, validation or test; test rows by default.")] = None,
    method: Annotated[str, typer.Option(help=LEFT_OUT)] = "jackknife",
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples; for --method percentile.")] = 10_000,
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """How much of the differences is between persons, and where in the model?"""
    from toolkit.cli.robustness import variance

    variance(run, unit=unit, split=split, method=method, resamples=resamples, seed=seed).show(json)


def analyze_stability(
    runs: RunFolders,
    study: Annotated[Path | None, typer.Option(help="study.toml, to fit one run's model again.")] = None,
    refits: Annotated[int, typer.Option(help="Fits with other seeds; 0 for none.")] = 5,
    repeats: Annotated[int, typer.Option(help="Fits per share of dropped rows; 0 for none.")] = 5,
    method: Annotated[str, typer.Option(help=LEFT_OUT)] = "jackknife",
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples; for --method percentile.")] = 1_000,
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """Do person estimates come out alike with other seeds and fewer rows? Several runs, or one and its study."""
    from toolkit.cli.repeat_fits import run_stability

    answer = run_stability(
        runs,
        study=study,
        refits=refits,
        repeats=repeats,
        method=method,
        resamples=resamples,
        seed=seed,
        quiet=json,
    )
    answer.show(json)


def analyze_less_data(
    runs: RunFolders,
    study: Annotated[Path, typer.Option(help="study.toml of the runs.")],
    metric: Annotated[str | None, typer.Option(help="Metric to compare; the first by default.")] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 10_000,
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """Which model is ahead when each person has 100, 75, 50 and 25 % of the training rows?"""
    from toolkit.cli.repeat_fits import run_less_data

    run_less_data(runs, study, metric=metric, resamples=resamples, seed=seed, quiet=json).show(json)


def analyze_likelihood_ratio(runs: RunFolders, json: AsJson = False) -> None:
    """Is a mixed model better than a simpler one that is part of it? Log-likelihoods, AIC, BIC, chi-squared tests."""
    from toolkit.cli.robustness import likelihood_ratio

    likelihood_ratio(runs).show(json)


def analyze_multiverse(
    runs: RunFolders,
    unit: Annotated[str, typer.Option(help=UNITS)] = "auto",
    permutations: Annotated[int, typer.Option(help="Random permutations.")] = 999,
    alpha: Annotated[float, typer.Option(help="Level of significance.")] = 0.05,
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """Is the group difference found under other reasonable choices? Several runs are several state definitions."""
    from toolkit.cli.robustness import multiverse

    multiverse(runs, unit=unit, permutations=permutations, alpha=alpha, seed=seed).show(json)


def analyze_power(  # noqa: PLR0913 - one argument per option of the command
    run: RunFolder,
    cell: Annotated[str, typer.Option(help="Transition that differs, FROM,TO.")],
    difference: Annotated[float, typer.Option(help="Difference in percentage points; 0 gives the error rate.")] = 5.0,
    clusters: Annotated[str, typer.Option(help="Persons or clusters per group to try.")] = "10,20,40,80",
    transitions: Annotated[str, typer.Option(help="Transitions per person to try.")] = "50,100",
    cluster_size: Annotated[int, typer.Option(help="Persons per cluster.")] = 1,
    correlation: Annotated[float, typer.Option(help="How alike persons of a cluster are, 0 to below 1.")] = 0.0,
    simulations: Annotated[int, typer.Option(help="Simulated studies per design.")] = 500,
    base: Annotated[str, typer.Option(help="expected or generic: which transitions to start from.")] = "expected",
    hsic: Annotated[bool, typer.Option("--hsic/--no-hsic", help="Also test all transitions together.")] = True,
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """How many persons and transitions does a study need?"""
    from toolkit.cli.robustness import power

    answer = power(
        run,
        cell=cell,
        difference=difference,
        clusters=clusters,
        transitions=transitions,
        cluster_size=cluster_size,
        correlation=correlation,
        simulations=simulations,
        base=base,
        hsic=hsic,
        seed=seed,
        quiet=json,
    )
    answer.show(json)
