"""Adapters that were made for an evaluation and that nobody finds any more."""

from __future__ import annotations

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.making.made import Made


def with_mend(error: CandorError, made: Made) -> CandorError:
    """The error; of an adapter that was made and is gone or broken, with where it lay and what mends it."""
    if error.reason not in (Reason.CHECKPOINT_NOT_FOUND, Reason.BAD_CHECKPOINT):
        return error
    for arm, checkpoint in made.adapters.items():
        if checkpoint.adapter and error.message.startswith((f"arm {arm}: ", f"arms.{arm}.")):
            where = "" if checkpoint.adapter in error.message else f" ({checkpoint.adapter})"
            message = (
                f"{error.message}\nThe adapter of {arm}{where} was made for this evaluation. Put it back, or start anew "
                "(--new): it is trained again from the rewrites that were kept, everything else is taken as it is"
            )
            return CandorError(error.reason, message, violations=error.violations, metadata=error.metadata)
    return error
