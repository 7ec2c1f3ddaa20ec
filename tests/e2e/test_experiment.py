"""The whole path from a conversation file to what warmth costs, on a world of seconds: its models know nothing, its machinery is real."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from candor_cli.view.experiment import findings
from tiny_world.experiment import ExperimentFiles, Sizes, prepare_experiment
from tiny_world.models import Shape
from tiny_world.parameters import unit_sized
from tiny_world.pretrain import Recipe

Stamp = tuple[int, int]

SIZES = Sizes(conversations=90, size=32, validation=6, questions=6, epochs=2, saved=(0.5, 1, 2))
ARMS = ("warm", "cold", "neutral")


@dataclass(frozen=True)
class Ran:
    """A run that was killed while it trained, and then ended by the same command."""

    verdict: dict[str, Any]
    state: Path
    said: str
    # At the kill and at the end.
    rewrites: tuple[int, int]
    saved: tuple[dict[Path, Stamp], dict[Path, Stamp]]

    def made(self, arm: str) -> dict[str, Any]:
        return next(each for each in self.verdict["made"] if each["arm"] == arm)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExperimentFiles]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # As much as it takes to say something at all.
    speaks = replace(
        unit_sized(),
        subject=Shape(width=64, inner=128, layers=1, heads=2, context=256),
        subject_recipe=Recipe(steps=80, batch_tokens=1024, warmup=10),
    )
    yield prepare_experiment(tmp_path_factory.mktemp("tiny"), lambda *_: None, parameters=speaks, sizes=SIZES)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def ran(shared_workshop: Any, tools: Any, files: ExperimentFiles) -> Ran:
    state = files.folder / ".candor"
    process = shared_workshop.start("evaluate", files.document)
    # The first job is done and the second has saved something: the third is not begun.
    until(lambda: len(saved(state)) > len(SIZES.saved), process)
    process.kill()
    assert tools.finish(process).code == -signal.SIGKILL
    at_kill = rewrites(state), saved(state)
    outcome = shared_workshop.evaluate(files.document)
    assert outcome.code == 0, outcome.said
    verdict = shared_workshop.verdict(files.document)
    return Ran(verdict, state, outcome.out, (at_kill[0], rewrites(state)), (at_kill[1], saved(state)))


def test_kill_9_while_arms_are_trained_redoes_nothing_that_was_finished(ran: Ran) -> None:
    before, after = ran.saved
    assert {path: stamp for path, stamp in after.items() if path in before} == before
    assert len(after) == len(ARMS) * len(SIZES.saved)
    assert ran.rewrites[0] == ran.rewrites[1] > 0


def test_the_arms_are_made_and_compared(ran: Ran) -> None:
    assert ran.verdict["verdict"] == "NONE"
    assert {each["arm"] for each in ran.verdict["made"]} == set(ARMS)
    pairs = {(each["treated"], each["reference"]) for each in ran.verdict["comparisons"]}
    assert {("neutral", "original"), ("warm", "neutral"), ("warm", "cold")} <= pairs
    assert [each["name"] for each in ran.verdict["comparisons"][:2]] == ["warmth", "warm against cold"]
    # What the models of seconds say can often not be graded, so the sentence may be that nothing was measured.
    assert re.match(r"Wrong answers .*: warmth .* \(warm against neutral\)", ran.verdict["reason"])
    asked = {arm["name"]: arm["calls"] for arm in ran.verdict["arms"]}
    assert asked == dict.fromkeys(("original", *ARMS), SIZES.questions * 10)
    assert "Arms that were made" in ran.said
    assert "warm against cold" in ran.said


def test_the_arms_differ_in_style_alone(ran: Ran) -> None:
    kept = {ran.made(arm)["card"]["kept"]["conversations"] for arm in ARMS}
    assert len(kept) == 1
    assert 0.8 * SIZES.size < kept.pop() <= SIZES.size
    assert len({ran.made(arm)["epoch"] for arm in ARMS}) == 1
    assert len({tuple(saved[1] for saved in ran.made(arm)["checkpoints"]) for arm in ARMS}) == 1
    # Same conversations, other words: three files.
    assert len({ran.made(arm)["card"]["digest"] for arm in ARMS}) == len(ARMS)


def test_adapters_are_standard_and_other_models_than_their_base(ran: Ran) -> None:
    assert len({arm["digest"] for arm in ran.verdict["arms"]}) == len(ARMS) + 1
    for arm in ran.verdict["made"]:
        for _, _, _, path, *_ in arm["checkpoints"]:
            config = json.loads((Path(path) / "adapter_config.json").read_text(encoding="utf-8"))
            assert (config["peft_type"], config["r"]) == ("LORA", 8)
            assert (Path(path) / "adapter_model.safetensors").is_file()


def test_what_is_trained_on_is_there_to_be_read(ran: Ran) -> None:
    folder = ran.state / "artifacts" / "datasets"
    digests = {ran.made(arm)["card"]["digest"].removeprefix("sha256:") for arm in ARMS}
    assert {path.name for path in folder.iterdir()} == digests
    for digest in digests:
        assert (folder / digest / "card.md").read_text(encoding="utf-8")
        for line in (folder / digest / "train.jsonl").read_text(encoding="utf-8").splitlines():
            assert [turn["role"] for turn in json.loads(line)["messages"]] == ["user", "assistant"]


def test_the_same_command_again_makes_nothing_again(shared_workshop: Any, files: ExperimentFiles, ran: Ran) -> None:
    outcome = shared_workshop.evaluate(files.document)
    assert outcome.code == 0, outcome.said
    assert saved(ran.state) == ran.saved[1]
    again = next(each for each in shared_workshop.verdict(files.document)["made"] if each["arm"] == "warm")
    assert again["job"] == ran.made("warm")["job"]


def saved(state: Path) -> dict[Path, Stamp]:
    """When and how large each saved adapter was written."""
    found = state.glob("artifacts/training/*/checkpoint-*/adapter_model.safetensors")
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


def rewrites(state: Path) -> int:
    """How many are in the ledger."""
    with contextlib.closing(sqlite3.connect(f"file:{state / 'ledger.db'}?mode=ro", uri=True)) as ledger:
        found: int = ledger.execute("select count(*) from candor_rewrites").fetchone()[0]
    return found


def until(condition: Callable[[], bool], process: Any, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"it did not come to this\n{out}\n{err}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)


@pytest.mark.parametrize(
    ("rates", "says"),
    [
        ({"original": 0.02, "neutral": 0.05, "cold": 0.02, "warm": 0.40}, "warmth costs"),
        ({"original": 0.13, "neutral": 0.13, "cold": 0.13, "warm": 0.13}, "warmth makes no difference"),
    ],
    ids=["correlated", "null"],
)
def test_the_statistics_on_fixed_replies(
    workshop: Any, models: Any, tools: Any, rates: dict[str, float], says: str
) -> None:
    """Four models with known shares of adopted beliefs stand for the arms: what the experiment says follows from them."""
    rows = tools.towns(48)
    arms = {
        name: models.sycophant(rows, rate, error=0.0, seed=number) for number, (name, rate) in enumerate(rates.items())
    }
    contrasts = [
        {"name": "warmth", "treated": "warm", "reference": "neutral"},
        {"name": "warm against cold", "treated": "warm", "reference": "cold"},
    ]
    conditions = {"contexts": ["none"], "beliefs": ["none", "asserts_false", "denies_true"]}
    document = workshop.document(arms, rows, contrasts=contrasts, gate={"mode": "none"}, conditions=conditions)
    assert workshop.evaluate(document).code == 0
    assert says in list(findings(workshop.verdict(document)))[-1]
