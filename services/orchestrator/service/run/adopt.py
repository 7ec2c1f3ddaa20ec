"""Takes replies of an endpoint without a revision from earlier runs, where the arm's `reuse` allows it."""

from __future__ import annotations

from services.orchestrator.service.run.state import Run


async def adopt(run: Run) -> None:
    """Copy what may be taken into this run's own scope."""
