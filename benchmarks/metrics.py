"""What metrics cost: `python -m benchmarks.metrics`.

Counting one graded item, in processor time; and a scrape of an orchestrator whose ledger has 10,000 evaluations in 20
families, each with a verdict file of the given size: the first after a start, one when nothing has changed, and one
served from what is known. Everything in one process, on SQLite.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from candor.orchestrator.v1 import evaluation_pb2
from prometheus_client import CollectorRegistry, generate_latest

from benchmarks.common import peak_mib, scratch, table
from benchmarks.grader_rpc import read_cases
from chassis.metrics import Metrics
from services.grader import convert
from services.grader.domain.answers.grade import grade
from services.grader.service.counts import GradeCounts
from services.orchestrator.backends import ledger_schema as t
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.ledger_sql import SqlLedger
from services.orchestrator.backends.metrics.exposed import EvaluationMetrics
from services.orchestrator.backends.metrics.reading import MOST, LedgerReading
from services.orchestrator.ports import EvaluationRow

FAMILIES = [f"family-{number}" for number in range(20)]
ITEMS = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description=__doc__)
    parser.add_argument("--kibibytes", type=int, default=200, help="of each verdict file")
    chosen = parser.parse_args()
    table("Counting", ["", "processor time"], [["one graded item", f"{1e6 * counting():.1f} us"]])
    with scratch() as folder:
        ledger = fill(folder, chosen.kibibytes)
        clock = [0.0]
        reading = LedgerReading(ledger, FAMILIES, patience_seconds=600, clock=lambda: clock[0])
        registry = CollectorRegistry()
        registry.register(EvaluationMetrics(reading.view))

        def again() -> None:
            clock[0] += 60
            generate_latest(registry)

        before = peak_mib()
        rows = [["the first", took(again)], ["nothing has changed", took(again)]]
        rows += [["within 5 s of the last", took(lambda: generate_latest(registry))]]
        series = generate_latest(registry).decode().count("\n")
        ledger.db.close()
    title = f"A scrape, {MOST:,} evaluations, {series:,} lines, {peak_mib() - before:.0f} MiB more at the peak"
    table(title, ["", "clock", "processor"], [[name, *values] for name, values in rows])


def counting() -> float:
    """Processor seconds of one item, the best of five."""
    metrics = Metrics("grader")
    counts = GradeCounts(metrics)
    outcome = grade(convert.case_from_proto(read_cases()[0]), convert.DEFAULT_PROFILE)
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        with metrics.accepted("grade", ITEMS) as finished:
            for _ in range(ITEMS):
                finished()
                counts.count(outcome)
        best = min(best, (time.process_time() - start) / ITEMS)
    return best


def took(work: Callable[[], object]) -> list[str]:
    """Milliseconds by the clock and of the processor."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return [f"{1e3 * (time.perf_counter() - clock):,.0f} ms", f"{1e3 * (time.process_time() - cpu):,.0f} ms"]


def fill(folder: Path, kibibytes: int) -> SqlLedger:
    """A ledger of closed evaluations."""
    ledger = SqlLedger(Database(f"sqlite:///{folder}/ledger.db"))
    body = json.dumps({"gates": [], "arms": [], "padding": "x" * (kibibytes << 10)})
    for start in range(0, MOST, 500):
        rows = []
        for number in range(start, start + 500):
            name = FAMILIES[number % len(FAMILIES)]
            row = EvaluationRow(
                id=f"e{number}",
                spec=evaluation_pb2.EvaluationSpec(name=name).SerializeToString(),
                document_digest=name,
                state="SUCCEEDED",
                verdict=("PASS", "FAIL")[number % 7 == 0],
                attempt=1,
                progress={"responses_done": 4000, "spend": 1.5},
                pinned={"grader": {"digest": "g", "grader_version": "1", "judge_model": "judge"}},
                verdict_json=body,
                created=float(number),
                updated=float(number),
            )
            rows.append({**asdict(row), "request_id": None})
        with ledger.db.write() as connection:
            connection.execute(ledger.db.insert(t.evaluations), rows)
    return ledger


if __name__ == "__main__":
    main()
