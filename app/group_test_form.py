"""The form of the group test, and what was asked with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from analyses.report.sentences import plural
from app import inputs
from app.inputs import PERSONS, Settings
from app.result_files import slug
from app.state import OpenRun
from toolkit.runs.kept import Recipe

KERNELS = {
    "gaussian": "Gaussian (differences of any kind)",
    "laplace": "Laplace (less moved by extreme persons)",
    "linear": "Linear (differences of the averages only)",
}
MULTIPLES = {0.5: "half the median", 1.0: "median", 2.0: "twice the median"}
CORRECTIONS = {
    "simultaneous": "All together (simultaneous intervals)",
    "fdr": "False discovery rate",
    "raw": "None (one transition at a time)",
}
DRAWS = (999, 9_999, 99_999)
COMMAND = "group-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSettings:
    """One run of the group test; two with equal recipes give the same result.

    Attributes:
        value: what is compared. first, second: labels; differences are first minus second. kernel, multiple: of the
            kernel test. permutations: shuffles, and resamples of the intervals. unit: of the sidebar. level: of
            intervals. correction: what counts as clear; changes no number. seed: of every random number.
    """

    __test__ = False  # pytest would take the name for a test class

    value: str
    first: str
    second: str
    kernel: str = "gaussian"
    multiple: float = 1.0
    permutations: int = 9_999
    unit: str = PERSONS
    level: float = 0.95
    correction: str = "simultaneous"
    seed: int = 1

    def recipe(self, opened: OpenRun) -> Recipe:
        """What the test is made with, for the code beside it, for keeping it and for finding it again."""
        whole = self.unit != PERSONS and opened.cluster_name is not None
        return Recipe(
            command=COMMAND,
            options={
                "value": self.value,
                "groups": [self.first, self.second],
                "group_names": [opened.group_of(self.first), opened.group_of(self.second)],
                "unit": "cluster" if whole else "person",
                "unit_name": units(self.unit),
                "kernel": self.kernel,
                "bandwidth_multiple": self.multiple,
                "permutations": self.permutations,
                "level": self.level,
                "seed": self.seed,
            },
        )

    def name(self, opened: OpenRun) -> str:
        """Of the folder the result is kept in."""
        o = self.recipe(opened).options
        parts = (self.value, self.first, self.second, self.kernel, self.multiple, o["unit_name"], self.permutations)
        return f"{COMMAND}-{slug(*parts, self.level, 'seed', self.seed)}"


def settings_of(opened: OpenRun, recipe: Recipe) -> TestSettings:
    """The settings of a kept test.

    Raises:
        KeyError, ValueError: when the recipe is not one of this version.
    """
    o = recipe.options
    first, second = o["groups"]
    whole = o["unit"] == "cluster" and opened.cluster_name is not None
    return TestSettings(
        value=str(o["value"]),
        first=str(first),
        second=str(second),
        kernel=str(o["kernel"]),
        multiple=float(o["bandwidth_multiple"]),
        permutations=int(o["permutations"]),
        unit=str(opened.cluster_name) if whole else PERSONS,
        level=float(o["level"]),
        seed=int(o["seed"]),
    )


def ask(settings: Settings, values: Sequence[str], groups: Mapping[str, str]) -> tuple[TestSettings, bool]:
    """The form; the second value says whether Run was pressed.

    Args:
        settings: the sidebar's.
        values: what can be compared, keys of ``inputs.VALUES``.
        groups: two groups or more, label to written-out name.
    """
    pairs = group_pairs(groups)
    with st.form("group test", border=True):
        columns = st.columns([1.5, 2.2, 1.8, 0.6], vertical_alignment="bottom")
        value = columns[0].selectbox(
            "What to compare", values, format_func=inputs.VALUES.__getitem__, help=inputs.VALUE_HELP, key="test_value"
        )
        pair = columns[1].selectbox(
            "Difference", range(len(pairs)), key="test_direction",
            format_func=lambda k: f"{groups[pairs[k][0]]} minus {groups[pairs[k][1]]}",
        )  # fmt: skip
        correction = columns[2].selectbox(
            "Correction for many transitions", list(CORRECTIONS), format_func=CORRECTIONS.__getitem__,
            key="correction", help="What has to leave out zero before a single transition counts as different.",
        )  # fmt: skip
        pressed = columns[3].form_submit_button("Run", type="primary", width="stretch")
        more = _more()
    first, second = pairs[int(pair or 0)]
    chosen = TestSettings(
        value=str(value), first=first, second=second, unit=settings.unit, level=settings.level,
        correction=str(correction), **more,
    )  # fmt: skip
    return chosen, pressed


def _more() -> dict[str, Any]:
    """What is rarely changed, folded away."""
    with st.expander("Kernel, permutations, seed", icon=":material/tune:"):
        columns = st.columns([2.2, 1.3, 1, 0.8])
        kernel = columns[0].selectbox("Kernel", list(KERNELS), format_func=KERNELS.__getitem__, key="kernel")
        multiple = columns[1].selectbox(
            "Bandwidth", list(MULTIPLES), index=1, format_func=MULTIPLES.__getitem__, key="bandwidth",
            help="How near two persons’ transitions have to be to count as alike. The linear kernel has none.",
        )  # fmt: skip
        permutations = columns[2].selectbox(
            "Permutations", DRAWS, index=1, format_func="{:,}".format, key="permutations",
            help="How often labels are shuffled, and how many resamples the intervals use.",
        )  # fmt: skip
        seed = columns[3].number_input("Seed", min_value=0, max_value=2**31 - 1, value=1, step=1, key="test_seed")
    return {
        "kernel": str(kernel),
        "multiple": 1.0 if kernel == "linear" else float(multiple or 1.0),
        "permutations": int(permutations or DRAWS[1]),
        "seed": int(seed),
    }


def units(unit: str) -> str:
    """What is shuffled, plural."""
    return PERSONS if unit == PERSONS else plural(unit)


def group_pairs(groups: Mapping[str, str]) -> list[tuple[str, str]]:
    """Every pair of groups in both directions, the later label minus the earlier one first."""
    forward = [(b, a) for a in groups for b in groups if a < b]
    return [*forward, *((a, b) for b, a in forward)]


def told(opened: OpenRun, tested: TestSettings) -> str:
    """The settings of a test in words."""
    return (
        f"{inputs.VALUES[tested.value].lower()}, {opened.group_of(tested.first)} minus "
        f"{opened.group_of(tested.second)}, {KERNELS[tested.kernel].partition(' (')[0]} kernel, "
        f"{tested.permutations:,} permutations of {units(tested.unit)}, seed {tested.seed}"
    )
