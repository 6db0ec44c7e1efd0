"""The record of an HSIC test and its sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses import wording

if TYPE_CHECKING:
    import pandas as pd

    from analyses.hsic_effect import HsicEffect

TIE_TOLERANCE = 1e-9
KERNEL_WORDS = {
    "gaussian": "Gaussian kernel",
    "laplace": "Laplace kernel",
    "linear": "linear kernel",
    "discrete": "discrete kernel",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HsicResult:
    """Outcome of `hsic_test`.

    Attributes:
        statistic: n x dHSIC (V-statistic), no unit; 0 means no dependence in the sample.
        pvalue: (b + 1) / (B + 1) of drawn permutations; b / B of all assignments; h / l after an early stop.
        pvalue_low, pvalue_high: 95 % interval that the limited number of draws leaves around it; the p itself where
            nothing was drawn.
        bandwidth: of the kernel on x; NaN for the discrete and linear ones. group_bandwidth: the same for the group.
        null: statistic under each permutation, shape (permutations,); empty for the gamma approximation.
        n: rows. n_units: units permuted. unit_name: what they are called.
        permutations: how many were evaluated. requested: how many were asked for.
        kernel, group_kernel: names; group_kernel is "product" for several covariates.
        bandwidth_rule: "median", "0.5 x median" or "fixed".
        stratified: whether labels changed places within strata (or pairs, or units of one size) only.
        group_sizes: rows per group label; empty for a numeric group.
        notes: what the reader should know, as sentences.
        method: "permutation", "exact", "early stop" or "gamma".
        stop_after: values as large as the observed one after which drawing stops; None when it does not.
        alpha: level used in sentences. design: "free", "strata", "pairs" or "sizes".
        covariates: (name, kernel, bandwidth) of each of several covariates.
        effect: effect sizes with intervals, when they were asked for.
    """

    statistic: float
    pvalue: float
    pvalue_low: float
    pvalue_high: float
    bandwidth: float
    group_bandwidth: float
    null: np.ndarray
    n: int
    n_units: int
    permutations: int
    kernel: str
    group_kernel: str
    bandwidth_rule: str
    unit_name: str
    stratified: bool
    group_sizes: dict[Any, int]
    notes: tuple[str, ...]
    method: str = "permutation"
    requested: int | None = None
    stop_after: int | None = None
    alpha: float = 0.05
    design: str = "free"
    covariates: tuple[tuple[str, str, float], ...] = ()
    effect: HsicEffect | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row with the headline numbers."""
        import pandas as pd

        return pd.DataFrame(
            [{key: value for key, value in self.summary().items() if not isinstance(value, dict | list)}]
        )

    def summary(self) -> dict[str, Any]:
        """The headline numbers as plain Python values; the null distribution is left to `null`."""
        left_out = {"null", "group_sizes", "notes", "covariates", "effect"}
        numbers = {name: getattr(self, name) for name in self.__slots__ if name not in left_out}
        nested: dict[str, Any] = {
            "group_sizes": {str(k): v for k, v in self.group_sizes.items()},
            "notes": list(self.notes),
            "covariates": [
                {"name": name, "kernel": kernel, "bandwidth": width} for name, kernel, width in self.covariates
            ],
        }
        return numbers | nested | ({} if self.effect is None else {"effect": self.effect.summary()})

    def text(self, subject: str = "transition matrices", features: str = "transitions", group: str = "group") -> str:
        """What was found, in plain words and with its uncertainty.

        Args:
            subject: what was compared, plural.
            features: what the first kernel compares.
            group: name of the group variable; several covariates go by their own names.
        """
        group = self._group(group)
        found = "more than chance would explain" if self._significant() else "no more than chance can explain"
        verb = "differ between groups" if self.group_kernel == "discrete" else f"depend on {group}"
        said = f"The {subject} {verb} {found}: {self._evidence(group)}; {self._numbers(features, group)}."
        return said if self.effect is None else f"{said} {self.effect.text()}"

    def apa(self, subject: str = "transition matrices", features: str = "transitions", group: str = "group") -> str:
        """The same as a sentence for the results section (arguments as in `text`)."""
        group = self._group(group)
        subject = subject[:1].upper() + subject[1:]
        discrete, significant = self.group_kernel == "discrete", self._significant()
        if discrete:
            verb = "differed between groups" if significant else "did not differ detectably between groups"
        else:
            verb = f"depended on {group}" if significant else f"did not depend detectably on {group}"
        said = f"{subject} {verb}, {self._numbers(features, group)}."
        return said if self.effect is None else f"{said} {self.effect.apa()}"

    def _significant(self) -> bool:
        return self.pvalue <= self.alpha

    def _group(self, group: str) -> str:
        names = [name for name, _, _ in self.covariates]
        return group if not names else " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)

    def _evidence(self, group: str) -> str:
        """How often shuffled labels did as well."""
        if self.method == "gamma":
            return "by a gamma curve in place of shuffles, which is rough for small p"
        share = 100 * float(np.mean(self.null >= self.statistic - TIE_TOLERANCE * abs(self.statistic)))
        share_text = "fewer than 0.1" if share < 0.1 else wording.number(share, 1)
        if self.method == "exact":
            return (
                f"of all {wording.thousands(self.permutations)} ways to deal the {group} labels to {self.unit_name}"
                f"{self._within()}, {share_text}% show a dependence at least as strong"
            )
        stop = f" (drawing stopped at the {self.stop_after}. such shuffle)" if self.method == "early stop" else ""
        return (
            f"with the {group} labels shuffled over {self.unit_name}, "
            f"a dependence at least as strong came up in {share_text}% of {wording.thousands(self.permutations)} "
            f"shuffles{stop}"
        )

    def _within(self) -> str:
        if not self.stratified:
            return ""
        return {"pairs": " within pairs", "sizes": " of equal size"}.get(self.design, " within strata")

    def _numbers(self, features: str, group: str) -> str:
        on_features = self._kernel(self.kernel, self.bandwidth_rule)
        return (
            f"n x HSIC = {wording.number(self.statistic)} ({on_features} on {features}, {self._group_kernels(group)}), "
            f"{wording.p_text(self.pvalue)} ({self._procedure()})"
        )

    def _group_kernels(self, group: str) -> str:
        if not self.covariates:
            return f"{self._kernel(self.group_kernel, 'median')} on {group}"
        return "product of " + ", ".join(f"{self._kernel(k, 'median')} on {name}" for name, k, _ in self.covariates)

    def _procedure(self) -> str:
        count, within = wording.thousands(self.permutations), self._within()
        if self.method == "gamma":
            return "gamma approximation"
        if self.method == "exact":
            return f"exact, all {count} assignments of labels to {self.unit_name}{within}"
        interval = wording.monte_carlo_text(self.pvalue_low, self.pvalue_high)
        done = f"{count} permutations of {self.unit_name}{within}"
        if self.method == "early stop":
            asked = "" if self.requested is None else f" of at most {wording.thousands(self.requested)}"
            stop = f"stopped after {self.stop_after} that reached it"
            done = f"{count}{asked} permutations of {self.unit_name}{within}, {stop}"
        return f"{done}; {interval}"

    @staticmethod
    def _kernel(kernel: str, rule: str) -> str:
        words = KERNEL_WORDS.get(kernel, f"{kernel} kernel")
        return f"{words} with {rule} bandwidth" if kernel in ("gaussian", "laplace") else words
