"""Posterior means and covariances of person effects as they are kept in a run folder; numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from toolkit.errors import DataError, RunFolderError
from toolkit.results import read_only

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PersonPosterior:
    """Normal posterior of every person's effects, on the scale the model was fitted on.

    Attributes:
        persons: pseudonyms. parameters: names of the effects.
        mean: shape (persons, parameters). covariance: shape (persons, parameters, parameters).
        prior: covariance of the effects over persons, shape (parameters, parameters); their mean is zero.
    """

    persons: tuple[str, ...]
    parameters: tuple[str, ...]
    mean: Float[np.ndarray, "persons parameters"]
    covariance: Float[np.ndarray, "persons parameters parameters"]
    prior: Float[np.ndarray, "parameters parameters"]

    def of(self, prefix: str) -> PersonPosterior:
        """The effects whose name begins with `prefix`, such as ``transitions[``."""
        kept = np.array([name.startswith(prefix) for name in self.parameters], dtype=bool)
        places = np.flatnonzero(kept)
        return PersonPosterior(
            persons=self.persons,
            parameters=tuple(self.parameters[k] for k in places),
            mean=read_only(self.mean[:, places]),
            covariance=read_only(self.covariance[:, places[:, None], places]),
            prior=read_only(self.prior[np.ix_(places, places)]),
        )


def level_posterior(run: SavedRun, term: str | None = None) -> PersonPosterior:
    """Posterior of the effects of the levels of any grouping factor of a run, on the scale of the fit: personal data.

    Args:
        run: a finished run.
        term: the factor, the persons by default; ``persons`` of the result are then its levels.

    Raises:
        DataError: E302 for a factor the run does not have effects of. RunFolderError: as `read_person_posterior`.
    """
    about = run.manifest["network"]
    further = about.get("further") or []
    names = [str(one["grouping"]) for one in further]
    if term is None or term in ("person", about["grouping"]):
        return run.posterior()
    if term not in names:
        raise DataError(
            f"the run has no effects of '{term}'", code="E302", column="term", remedy=f"known: {', '.join(names)}"
        )
    place = names.index(term)
    files = run.checked("persons.safetensors"), run.checked("generic.safetensors")
    levels, labels = run.manifest["further_levels"][term], further[place]["effect_labels"]
    return read_person_posterior(*files, tuple(levels), tuple(labels), prefix=f"further.{place}.")


def read_person_posterior(
    personal: Path, generic: Path, persons: tuple[str, ...], parameters: tuple[str, ...], *, prefix: str = ""
) -> PersonPosterior:
    """Read the two verified files of a run.

    Args:
        personal: persons.safetensors.
        generic: generic.safetensors.
        persons: levels, in the order of the effects.
        parameters: names of the effects.
        prefix: of the tensors of a further grouping factor.

    Raises:
        RunFolderError: E406 for a run without person effects or without their covariances.
    """
    from safetensors.numpy import load_file

    found, shared = load_file(personal), load_file(generic)
    if f"{prefix}posterior_covariance" not in found or not parameters:
        raise RunFolderError(
            "this run has no posterior of person effects", code="E406", remedy="choose a run with person effects"
        )
    if shared[f"{prefix}covariance"].ndim == 1:
        raise RunFolderError(
            "of this many effects a person the run keeps only the variances, not how they go together",
            code="E406",
            remedy="choose a run in which fewer parameters vary",
        )
    return PersonPosterior(
        persons=persons,
        parameters=parameters,
        mean=read_only(found[f"{prefix}eta"].astype(np.float64)),
        covariance=read_only(found[f"{prefix}posterior_covariance"].astype(np.float64)),
        prior=read_only(shared[f"{prefix}covariance"].astype(np.float64)),
    )
