"""A network whose person-specific layers are each person's own: no shared value, no prior (Specific-MLP)."""

from __future__ import annotations

from toolkit.models.nme import MlpConfig


class SpecificMlp(MlpConfig):
    """Multilayer perceptron whose ``effects`` layers belong to each person alone, trained by that person's rows.

    ``theta = theta_i`` in these layers and ``theta = theta_bar`` in all others, which are trained too, as the paper
    says (Woertwein et al., 2023, section 5.2; its code left them as they were drawn). Unlike ``NmeMlp`` with
    ``variance_update="unregularised"`` (uNME, ``theta_bar + theta_i`` without a prior) nobody's rows move the layers of
    another: everybody starts at the same values and goes on alone. Persons without training rows, and the population,
    are predicted with the mean of the persons' layers.

    Attributes:
        effects: the layers that are each person's own: ``last``, ``all``, or names as in `NmeMlp`.
    """

    effects: str | tuple[str, ...] = "last"
