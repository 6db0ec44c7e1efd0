"""How a fit ended, as sentences with their remedy: not converging is an outcome, recorded, never hidden."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """Outcome of a training run."""

    VALIDATED = "The {monitor} stopped improving; the best state was restored."
    SETTLED = "The training objective settled."
    MAXIMUM = "The likelihood is at its maximum."
    NO_MAXIMUM = (
        "The search ended before the maximum of the likelihood was certain; let fewer coefficients vary, or bring the "
        "features to similar scales."
    )
    SCHEDULED = "The learning rate went through its whole schedule{best}."
    OUT_OF_EPOCHS = (
        "All epochs were used before the {monitor} settled; raise epochs or the learning rate and look at the "
        "training curve."
    )
    NOT_FINITE = (
        "E301: in epoch {failed} the {what} stopped being a finite number; the fit was rolled back to epoch {kept}. "
        "Lower the learning rate, or check the scale of the data."
    )

    @property
    def converged(self) -> bool:
        """True when the stopping rule was met."""
        return self in {Status.VALIDATED, Status.SETTLED, Status.MAXIMUM, Status.SCHEDULED}

    def sentence(
        self,
        *,
        validated: bool,
        failed: int = 1,
        kept: int = 0,
        what: str = "loss",
        monitor: str = "validation loss",
    ) -> str:
        """The outcome in words.

        Args:
            validated: whether there was a validation loss to watch.
            failed: the epoch in which a number was not finite.
            kept: the epoch whose state was kept.
            what: the term that was not finite.
            monitor: what was watched beside or in place of that loss.
        """
        best = f"; the state with the lowest {monitor} was restored" if validated else ""
        monitor = monitor if validated else "training objective"
        return self.value.format(monitor=monitor, failed=failed, kept=kept, what=what, best=best)
