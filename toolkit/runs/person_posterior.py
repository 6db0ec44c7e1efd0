"""Posterior means and covariances of person effects as they are kept in a run folder; numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from toolkit.errors import RunFolderError
from toolkit.results import read_only


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


def read_person_posterior(
    personal: Path, generic: Path, persons: tuple[str, ...], parameters: tuple[str, ...]
) -> PersonPosterior:
    """Read the two verified files of a run.

    Raises:
        RunFolderError: E406 for a run without person effects or without their covariances.
    """
    from safetensors.numpy import load_file

    found, shared = load_file(personal), load_file(generic)
    if "posterior_covariance" not in found or not parameters:
        raise RunFolderError(
            "this run has no posterior of person effects", code="E406", remedy="choose a run with person effects"
        )
    if shared["covariance"].ndim == 1:
        raise RunFolderError(
            "of this many effects a person the run keeps only the variances, not how they go together",
            code="E406",
            remedy="choose a run in which fewer parameters vary",
        )
    return PersonPosterior(
        persons=persons,
        parameters=parameters,
        mean=read_only(found["eta"].astype(np.float64)),
        covariance=read_only(found["posterior_covariance"].astype(np.float64)),
        prior=read_only(shared["covariance"].astype(np.float64)),
    )
