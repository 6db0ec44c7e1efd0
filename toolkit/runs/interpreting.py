"""What each grouping factor of a run adds to the predictions of rows; see `toolkit.models.effect_parts`."""

from __future__ import annotations

import numpy as np
from safetensors.torch import load
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.data.outcomes import rows_for
from toolkit.data.study import Study
from toolkit.errors import DataError
from toolkit.models.effect_parts import EffectParts, effect_parts
from toolkit.models.fitted import FittedNetwork
from toolkit.runs.families import family_of
from toolkit.runs.folder import SavedRun
from toolkit.runs.restore import restore_network
from toolkit.runs.run import Run


def parts_of_run(run: SavedRun | Run, data: GroupedDataset) -> EffectParts:
    """What each grouping factor adds to the predictions of the rows.

    Args:
        run: a run in memory or in its folder.
        data: rows of its study, or new ones.

    Raises:
        DataError: E406 for a model whose predictions are no sum of effects; as `toolkit.models.fitted` for the rows.
    """
    network = run.trained.network if isinstance(run, Run) else restore_network(run)
    if not isinstance(network, FittedNetwork):
        raise DataError(
            "predictions of this model are no sum of effects of grouping factors", code="E406", column="model",
            remedy="choose a run of a model with random effects (lmm, glmm, lmmnn, nme-mlp, mcgmenn)",
        )  # fmt: skip
    return effect_parts(network, data, _posteriors(run, len(network.further)))


def row_named(data: GroupedDataset, row: int) -> GroupedDataset:
    """The one row of a number, as the table of predictions counts rows (from 0).

    Raises:
        DataError: E124 where no row has this number.
    """
    found = np.flatnonzero(np.asarray(data.row_numbers) == row)
    if not len(found):
        raise DataError(
            "no row has this number", code="E124", column="row",
            remedy="take one from the column 'row' of the predictions",
        )  # fmt: skip
    return data.take(found[:1])


def rows_of_study(run: SavedRun, study: Study) -> GroupedDataset:
    """The rows of the study that a run was fitted to.

    Raises:
        DataError: E407 where they are not those the run was fitted to; whatever reading raises.
    """
    targets = list(run.targets)
    rows = study.grouped(targets if len(targets) > 1 else targets[0], groupings=run.groupings)
    if rows_for(str(run.manifest["task"]), rows).content_hash() != run.manifest["data"]["hash"]:
        raise DataError(
            "the study's data are not those the run was fitted to", code="E407",
            remedy="open the study of this run, as it was then",
        )  # fmt: skip
    return rows


def _posteriors(run: SavedRun | Run, further: int) -> tuple[Tensor | None, ...]:
    """Posterior covariances of every factor's effects, the person first; None where they are not kept."""
    if isinstance(run, Run):
        kept = family_of(run.trained.network.config).personal_tensors(run.trained)
    else:
        kept = load(run.content("persons.safetensors"))
    names = ["posterior_covariance", *(f"further.{place}.posterior_covariance" for place in range(further))]
    return tuple(kept.get(name) for name in names)
