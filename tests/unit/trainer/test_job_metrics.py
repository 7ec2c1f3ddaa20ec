"""Metrics of training jobs come from the jobs that are kept."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from services.trainer.backends.job_metrics import JobMetrics
from services.trainer.domain.job import Job, State
from services.trainer.domain.spec import TrainingSpec


def _registry(*jobs: Job) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(JobMetrics(lambda: jobs, clock=lambda: 1000.0))
    return registry


def _value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_without_jobs_every_state_is_there_and_nothing_waits() -> None:
    registry = _registry()
    assert [_value(registry, "candor_training_jobs", state=state) for state in State] == [0] * len(State)
    assert _value(registry, "candor_training_pending_seconds") == 0
    assert _value(registry, "candor_training_last_failure_timestamp_seconds") == 0


def test_the_longest_wait_and_the_last_failure_are_told(spec_of: Callable[[int], TrainingSpec]) -> None:
    states = [
        (State.PENDING, 400.0),
        (State.PENDING, 900.0),
        (State.FAILED, 300.0),
        (State.FAILED, 500.0),
        (State.SUCCEEDED, 950.0),
    ]
    registry = _registry(
        *(
            Job(id=str(number), spec=spec_of(number), state=state, updated=updated)
            for number, (state, updated) in enumerate(states)
        )
    )
    assert _value(registry, "candor_training_jobs", state="PENDING") == 2
    assert _value(registry, "candor_training_jobs", state="RUNNING") == 0
    assert _value(registry, "candor_training_pending_seconds") == 600
    assert _value(registry, "candor_training_last_failure_timestamp_seconds") == 500
