"""What is asked of DBOS, which is one per process: launch it, have a run executed, look at it, adopt runs of the dead.

Blocking. What DBOS's database cannot do is said as a CandorError, as of the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from chassis.errors import CandorError, Reason
from services.orchestrator.backends.ledger_errors import translated

if TYPE_CHECKING:
    from dbos import WorkflowStatus

Workflow: TypeAlias = Callable[[str, int], None]

# Changes when a newer program could not go on with an older one's runs. Recovery looks at it and not at the program's
# version, so that an upgrade does not orphan runs.
WORKFLOW_SCHEMA = "candor-runs-1"
_QUEUE = "candor-evaluations"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsConfig:
    """How runs are kept.

    Attributes:
        url: SQLAlchemy URL of DBOS's own tables.
        executor_id: Stable name of this replica; empty: embedded.
        max_runs: Evaluations that this replica runs at once.
        poll_seconds: How often the queue is looked at.
        beat_seconds: How often this replica says that it lives, and looks for cancelled runs.
        retry_seconds: Pause before a run is taken up again that the ledger could not be told of.
        claim_seconds: How long an evaluation is waited for that another command has; longer than the database takes to
            notice that a machine fell silent.
    """

    url: str
    executor_id: str = ""
    max_runs: int = 4
    poll_seconds: float = 0.5
    beat_seconds: float = 1.0
    retry_seconds: float = 10.0
    claim_seconds: float = 90.0


def launch(config: RunsConfig, executor_id: str, drive: Workflow) -> Workflow:
    """Launch DBOS and take up this executor's runs.

    Args:
        config: Embedded it has no `executor_id`; else runs are taken from the queue.
        executor_id: Under which runs are recorded.
        drive: Executes an attempt at an evaluation.

    Returns:
        The workflow, for `submit`.
    """
    from dbos import DBOS, DBOSConfig

    settings: DBOSConfig = {
        "name": "candor-orchestrator",
        "system_database_url": config.url,
        "application_version": WORKFLOW_SCHEMA,
        "executor_id": executor_id,
        "log_level": "ERROR",
        "notification_listener_polling_interval_sec": 1.0,
    }
    DBOS(config=settings)

    def evaluation(evaluation_id: str, attempt: int) -> None:
        drive(evaluation_id, attempt)

    # A run is taken up again however often its process dies: what is asked only ever shrinks.
    workflow = DBOS.workflow(name="candor_evaluation", max_recovery_attempts=None)(evaluation)
    with ExitStack() as half_launched, translated():
        half_launched.callback(DBOS.destroy)  # it would pass for launched
        DBOS.launch()
        if config.executor_id:
            DBOS.register_queue(
                _QUEUE,
                worker_concurrency=config.max_runs,
                polling_interval_sec=config.poll_seconds,
                on_conflict="always_update",
            )
        half_launched.pop_all()
    return workflow


def destroy() -> None:
    """End DBOS; runs without an outcome stay to be recovered."""
    from dbos import DBOS

    DBOS.destroy()


def submit(workflow: Workflow, evaluation_id: str, attempt: int, *, queued: bool) -> None:
    """Have a run executed: here, or by whoever takes it from the queue. The same run again does nothing."""
    from dbos import DBOS, SetWorkflowID

    with translated(), SetWorkflowID(_workflow_id(evaluation_id, attempt)):
        if queued:
            DBOS.enqueue_workflow(_QUEUE, workflow, evaluation_id, attempt)
        else:
            DBOS.start_workflow(workflow, evaluation_id, attempt)


def status(evaluation_id: str, attempt: int) -> WorkflowStatus | None:
    """What is recorded of a run."""
    from dbos import DBOS

    with translated():
        return DBOS.get_workflow_status(_workflow_id(evaluation_id, attempt))


def adopt(executors: list[str]) -> None:
    """Put the runs of these executors into the queue again.

    Raises:
        CandorError: LEDGER_LOCKED when not all of them could be; doing it again does no harm.
    """
    from dbos import DBOS

    with translated():
        DBOS._recover_pending_workflows(executors)  # noqa: SLF001 (DBOS offers recovery of others only under this name)
        # DBOS logs what it failed to recover, and goes on.
        left = DBOS.list_workflows(
            status="PENDING",
            executor_id=executors,
            app_version=WORKFLOW_SCHEMA,
            load_input=False,
            load_output=False,
        )
    if left:
        raise CandorError(Reason.LEDGER_LOCKED, f"{len(left)} runs of silent replicas could not be adopted")


def _workflow_id(evaluation_id: str, attempt: int) -> str:
    return f"{evaluation_id}-{attempt}"
