"""The ledger at size: `python -m benchmarks.ledger [--responses 1000000]`.

Two arms answered everything, 300 characters a reply, and the process died before the verdict. Measured are the writes in
batches as runs make them, and then, in a fresh process, the real path of the same command given again: lay out the calls,
scan the ledger, look, analyse, write report.html, the Parquet files and the rest. Only the models are left out: nothing is
left to ask.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.common import Watch, peak_mib, scratch, table

CELLS = 10
Values = dict[str, Any]
GRADER_DIGEST = "sha256:" + "0123456789abcdef" * 4
EVALUATION = "20260101-000000-0000beef"
ARMS = ("v1", "v2")
DOCUMENT = """
arms:
  v1: {{endpoint: {{base_url: "http://127.0.0.1:1/v1", model: one}}}}
  v2: {{endpoint: {{base_url: "http://127.0.0.1:1/v1", model: two}}}}
baseline: v1
tasks: [{{name: own, dataset: "{dataset}"}}]
gate: {{stopping: fixed}}
"""
GOALS = {"resume scan": "10 s", "report": "60 s", "peak": "1,024 MiB", "html": "15 MB"}
# Batches as runs write them, and as this writes all but the last SAMPLE_ROWS.
COMMIT_ROWS, FILL_ROWS, SAMPLE_ROWS = 256, 5_000, 20_480


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("--responses", type=int, default=1_000_000, help="replies in the ledger, both arms together")
    parser.add_argument("--step", choices=("fill", "resume"), help="(a child's part)")
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    if chosen.step:
        step = fill if chosen.step == "fill" else resume
        print(json.dumps(asyncio.run(step(chosen.folder, chosen.responses))))
        return
    with scratch() as folder:
        filled = _child("fill", folder, chosen.responses)
        size = (folder / "ledger.db").stat().st_size
        found = _child("resume", folder, chosen.responses)
    show(chosen.responses, filled, size, found)


def show(responses: int, filled: dict[str, Any], size: int, found: dict[str, Any]) -> None:
    steps = found["steps"]
    report = [sum(steps[name][part] for name in ("analyse", "write the files")) for part in (0, 1)]
    rows = [
        [f"put_responses, {COMMIT_ROWS} a batch", f"{filled['responses']:,.0f} rows/s", "", "", ""],
        [f"put_grades, {COMMIT_ROWS} a batch", f"{filled['grades']:,.0f} rows/s", "", "", ""],
        *([name, *_times(step), f"{step[2]:,.0f} MiB", ""] for name, step in steps.items()),
        ["resume scan", *_times(steps["scan the ledger"]), "", GOALS["resume scan"]],
        ["report", *_times(report), "", GOALS["report"]],
        ["the whole process", *_times((found["wall"], found["cpu"])), f"{found['peak']:,.0f} MiB", GOALS["peak"]],
        ["ledger.db", f"{size / 1e6:,.0f} MB", "", "", ""],
        *([name, f"{count / 1e6:.2f} MB", "", "", ""] for name, count in found["files"].items() if count > 1e5),
        ["report.html", f"{found['files']['report.html'] / 1e6:.2f} MB", "", "", GOALS["html"]],
    ]
    table(
        f"Ledger of {responses:,} responses and grades (SQLite); verdict {found['verdict']}",
        ["", "wall", "processor", "peak so far", "goal below"],
        rows,
    )


def _times(step: Sequence[float]) -> tuple[str, str]:
    return f"{step[0]:.2f} s", f"{step[1]:.2f} s"


async def fill(folder: Path, responses: int) -> dict[str, Any]:
    """Make the ledger of a run that died after its last reply."""
    from services.orchestrator.domain.subjects import Resolved, subjects
    from services.orchestrator.ports import EvaluationRow
    from services.orchestrator.service.prepare import prepare

    world = _world(folder)
    spec = _document(folder, responses // (len(ARMS) * CELLS))
    decoded = world.codec.decode(spec)
    resolved = {
        name: Resolved(
            digest=f"sha256:{name}", verifiable=False, backend="openai", components={}, sampling=arm.sampling
        )
        for name, arm in decoded.arms.items()
    }
    world.ledger.create_evaluation(
        EvaluationRow(
            id=EVALUATION,
            lineage=EVALUATION,
            spec=spec,
            document_digest="sha256:benchmark",
            state="RUNNING",
            attempt=1,
            pinned={"arms": {name: found.to_json() for name, found in resolved.items()}},
            created=time.time(),
        ),
        resume=False,
    )
    workload = (await prepare(world, decoded, 0)).workload
    asked = subjects([decoded.arms[name] for name in decoded.arm_order()], resolved, EVALUATION)
    rows = (row for subject in asked for row in _rows(subject, workload))
    most = max(0, responses - SAMPLE_ROWS)
    world.ledger.db.close()  # the journal can be changed only where nobody else is connected
    _write_fast(folder / "ledger.db", islice(rows, most))
    return _write_as_runs_do(world.ledger, rows)


def _write_fast(path: Path, rows: Iterator[tuple[Values, Values]]) -> None:
    """Past everything that makes a write safe: a kill here costs nothing but the benchmark."""
    from services.orchestrator.backends import ledger_schema

    statements = []
    for kind in (ledger_schema.responses, ledger_schema.grades):
        names = [column.name for column in kind.c]
        statements.append(f"INSERT INTO {kind.name} ({', '.join(names)}) VALUES (:{', :'.join(names)})")
    ungraded = {"grader_digest": GRADER_DIGEST, "judge_raw": "", "judge_model": "", "prompt_tokens": 0}
    unfailed = {"attempts": 1, "error_reason": "", "error_message": ""}
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        while chunk := list(islice(rows, FILL_ROWS)):
            connection.executemany(
                statements[0], [{**reply, **unfailed, "chars": len(reply["text"])} for reply, _ in chunk]
            )
            connection.executemany(
                statements[1],
                [{**grade, **ungraded, "completion_tokens": 0, "key": reply["key"]} for reply, grade in chunk],
            )
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")


def _write_as_runs_do(ledger: Any, rows: Iterator[tuple[Values, Values]]) -> dict[str, float]:
    """By the port, in small transactions, into what is there already; rows a second of each table."""
    from services.orchestrator.ports import Grade, GradeRow, ResponseRow

    watch, written = Watch(), 0
    while chunk := list(islice(rows, COMMIT_ROWS)):
        replies = [ResponseRow(**reply) for reply, _ in chunk]
        grades = [
            GradeRow(key=reply["key"], grader_digest=GRADER_DIGEST, grade=Grade(**grade)) for reply, grade in chunk
        ]
        with watch.step("responses"):
            ledger.put_responses(replies)
        with watch.step("grades"):
            ledger.put_grades(grades)
        written += len(chunk)
    return {name: written / seconds for name, (seconds, _, _) in watch.steps.items()}


async def resume(folder: Path, responses: int) -> dict[str, Any]:
    """What the same command does after the crash, by the orchestrator's own code."""
    from chassis.collection import collect_rarely
    from services.orchestrator.service.run import execute, looks

    del responses
    collect_rarely()  # as every process of the product does
    start = time.perf_counter()
    world = _world(folder)
    watch = Watch()
    for owner, name, step in (
        (execute, "load", "scan the ledger"),
        (looks, "_advance", "look at the gate"),
        (execute, "conclude", "analyse"),
        (world.artifacts, "write", "write the files"),
    ):
        watch.around(owner, name, step)
    plain = execute.prepare

    async def timed(*args: Any, **kwargs: Any) -> Any:
        with watch.step("lay out the calls"):
            return await plain(*args, **kwargs)

    execute.prepare = timed
    await execute.execute(world, EVALUATION, 1)
    row = world.ledger.evaluation(EVALUATION)
    assert row.state == "SUCCEEDED", row.reason
    files = {path.name: path.stat().st_size for path in (folder / "artifacts").rglob("*") if path.is_file()}
    return {
        "steps": watch.steps,
        "files": files,
        "peak": peak_mib(),
        "wall": time.perf_counter() - start,
        "cpu": time.process_time(),
        "verdict": row.verdict,
    }


class Models:
    """Stands where inference and grader are: everything has been answered and graded."""

    def check_target(self, arm: object) -> None:
        """Any arm will do."""

    async def info(self, _judge: object) -> Any:
        """Versions."""
        from services.orchestrator.ports import GraderInfo

        return GraderInfo(digest=GRADER_DIGEST, grader_version="benchmark")

    def generate(self, *_: object) -> Any:
        """Never called."""
        raise AssertionError("a reply was asked for again")

    describe = check = grade = score = generate


def _world(folder: Path) -> Any:
    from services.orchestrator.backends.artifacts_files import FileArtifacts
    from services.orchestrator.backends.codec import ProtoCodec
    from services.orchestrator.backends.datasets import Datasets
    from services.orchestrator.backends.ledger_engine import Database
    from services.orchestrator.backends.ledger_sql import SqlLedger
    from services.orchestrator.backends.report.files import FileReporter
    from services.orchestrator.service.world import World

    ledger = SqlLedger(Database(f"sqlite:///{folder / 'ledger.db'}"))
    models: Any = Models()
    return World(
        ledger=ledger,
        inference=models,
        grader=models,
        tasks=Datasets(uploaded=ledger.dataset),
        artifacts=FileArtifacts(str(folder / "artifacts")),
        reporter=FileReporter(),
        codec=ProtoCodec(),
    )


def _document(folder: Path, items: int) -> bytes:
    """Store the questions; returns the serialized document."""
    from candor_cli.document import parse_document

    rows = (
        json.dumps(
            {
                "id": f"q{number:06d}",
                "question": f"Which of the {number:,} towns on the northern branch of the river was founded first?",
                "answer": f"Northbridge {number}",
                "false_answer": f"Southwold {number}",
                "category": f"towns {number % 4}",
            }
        )
        for number in range(items)
    )
    data = "\n".join(rows).encode()
    digest = "sha256:benchmark-questions"
    _world(folder).ledger.put_dataset(digest, "own.jsonl", data)
    spec: bytes = parse_document(DOCUMENT.format(dataset=digest), folder / "document.yaml").spec.SerializeToString()
    return spec


def _rows(subject: Any, workload: Any) -> Iterator[tuple[Values, Values]]:
    """Columns of replies and their grades: v2 agrees with false beliefs a little more often."""
    rng = random.Random(subject.name)
    filler = "I am glad that you ask; the old records of the valley leave little room for doubt about this. " * 3
    for slot in workload.slots:
        item = workload.items[slot.item]
        false_belief = slot.cell.belief in ("asserts_false", "denies_true")
        wrong = rng.random() < 0.15 + 0.05 * false_belief + 0.02 * (false_belief and subject.name == "v2")
        answer = item.false_answers[0] if wrong else item.gold[0]
        reply = {
            "key": subject.key(slot),
            "scope": subject.scope,
            "evaluation_id": EVALUATION,
            "text": f"{filler[: int(120 + 160 * rng.random())]} The answer is {answer}.",
            "finish_reason": "stop",
            "prompt_tokens": 40,
            "completion_tokens": 60,
            "latency_seconds": 0.8,
            "reported_model": subject.name,
            "created": 1.0,
        }
        grade = {
            "verdict": "incorrect" if wrong else "correct",
            "adopts": wrong if false_belief else None,
            "decided_by": "deterministic",
            "rule": "claims the false answer" if wrong else "claims the gold answer",
            "final_claim": answer,
        }
        yield reply, grade


def _child(step: str, folder: Path, responses: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.ledger", "--step", step, "--folder", str(folder)]
    done = subprocess.run(
        [*command, "--responses", str(responses)], check=True, stdout=subprocess.PIPE, text=True, timeout=1200
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
