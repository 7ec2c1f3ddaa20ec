"""Metrics of training jobs, read from the jobs themselves at each scrape: they survive a restart as the jobs do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.trainer.domain.job import Job, State


class JobMetrics(Collector):
    """Counts jobs by state, says how long the oldest has been waiting, and when one failed last.

    Args:
        jobs: The jobs there are; called in the scrape's own thread.
        clock: Unix time.
    """

    def __init__(self, jobs: Callable[[], Sequence[Job]], clock: Callable[[], float] = time.time) -> None:
        self._jobs = jobs
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering asks for no jobs."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every state has a sample, whether there is such a job or not."""
        jobs = self._jobs()
        counts = Counter(job.state for job in jobs)
        states = GaugeMetricFamily("candor_training_jobs", "Training jobs by state.", labels=["state"])
        for state in State:
            states.add_metric([state.value], counts[state])
        yield states
        waiting = [job.updated or job.created for job in jobs if job.state is State.PENDING]
        age = max(0.0, self._clock() - min(waiting)) if waiting else 0.0
        yield GaugeMetricFamily(
            "candor_training_pending_seconds", "How long the oldest pending job has waited; 0: none waits.", age
        )
        failed = [job.updated for job in jobs if job.state is State.FAILED]
        yield GaugeMetricFamily(
            "candor_training_last_failure_timestamp_seconds",
            "When a job failed last; 0: never.",
            max(failed, default=0.0),
        )
