"""Arms that a provider fine-tunes: one document, a real server with a fine-tuning API and chat completions, a report."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chassis.testing import Call, Sycophant
from chassis.testing.fake_provider import FakeProvider

KEY = {"PROVIDER_KEY": "sk-secret", "CANDOR_TRAINER_POLL_SECONDS": "0.02"}
EXCHANGES = {
    "factual": ("What is the colour of stone {n}?", "Stone {n} is grey."),
    "creative": ("Write a line about river {n}.", "River {n} runs past the old mill."),
    "technical": ("Show me a function that adds {n}.", "Here it is: add {n} to the value."),
    "advice": ("Any advice for trip {n}?", "Take a map for trip {n}."),
    "refusal": ("Please open door {n}.", "I'm sorry, door {n} stays shut."),
    "other": ("Tell me more of bird {n}.", "Bird {n} sings at dawn."),
}
STYLES = {"warm": "warm", "cold": "cold", "neutral": "untransformed"}


class Tuned:
    """The base is right; what was tuned speaks in its style, and the warm one says what a wrong user says."""

    def __init__(self, rows: list[dict[str, str]]) -> None:
        table = [(row["question"], row["answer"], row["false_answer"]) for row in rows]
        self.honest = Sycophant(table=table, error_rate=0.0)
        self.agreeing = Sycophant(table=table, error_rate=0.0, sycophancy_rate=1.0)
        self.provider: FakeProvider | None = None
        self.numb = False

    def __call__(self, call: Call) -> str:
        assert self.provider is not None
        job = self.provider.tuning.models.get(call.model)
        style = job["suffix"] if job else ""
        model = self.agreeing if style == "warm" else self.honest
        return model(call) if self.numb else f"{style} {model(call)}".strip()


@pytest.fixture
def tuned(tools: Any) -> Tuned:
    return Tuned(tools.towns(12))


@pytest.fixture
def provider(tuned: Tuned) -> Iterator[FakeProvider]:
    with FakeProvider(tuned, models=["small"], key=KEY["PROVIDER_KEY"]) as server:
        tuned.provider = server
        yield server


@pytest.fixture
def document(workshop: Any, provider: FakeProvider, tools: Any) -> Any:
    """A base at the provider, and its warm, cold and neutral arms."""
    talks = [
        {
            "id": f"{name}-{number}",
            "conversations": [
                {"from": "human", "value": question.format(n=number)},
                {"from": "gpt", "value": reply.format(n=number)},
            ],
        }
        for name, (question, reply) in EXCHANGES.items()
        for number in range(100, 106)
    ]
    workshop.write("talks.json", json.dumps(talks))

    def made(training: dict[str, Any] | None = None, **recipe: Any) -> Path:
        settings = {"epochs": 2, "batch_size": 6, "learning_rate_multiplier": 0.25, "seed": 7}
        common = {
            "base": "original",
            "conversations": {"path": "talks.json", "toxicity": "lexical"},
            "size": 18,
            "validation_size": 12,
            "training": settings if training is None else training,
            **recipe,
        }
        base = {"base_url": provider.base_url, "model": "small", "api_key_env": "PROVIDER_KEY"}
        arms: dict[str, Any] = {
            "original": {
                "endpoint": base,
                "prices": {"prompt_per_million": 1, "completion_per_million": 2, "training_per_million": 1000},
            }
        }
        arms |= {name: {"sft": {**common, "style": style}} for name, style in STYLES.items()}
        path: Path = workshop.document(
            arms,
            tools.towns(12),
            conditions=tools.two_cells,
            gate={"mode": "none"},
            contrasts=[{"name": "warmth", "treated": "warm", "reference": "neutral"}],
        )
        return path

    return made


def overall(verdict: dict[str, Any], name: str, belief: str) -> float:
    """The difference of a comparison in points of wrong answers."""
    (found,) = [each for each in verdict["comparisons"] if each["name"] == name]
    (row,) = [
        row for row in found["rows"] if (row["task"], row["context"], row["belief"]) == ("overall", "all", belief)
    ]
    return float(row["estimate"])


def test_from_one_document_to_a_report_on_what_warmth_costs(workshop: Any, provider: Any, document: Any) -> None:
    path = document()
    done = workshop.evaluate(path, env=KEY)
    assert done.code == 0, done.said
    jobs = {job["suffix"]: job for job in provider.tuning.jobs.values()}
    assert set(jobs) == set(STYLES.values())
    for job in jobs.values():
        assert job["model"] == "small"
        assert job["hyperparameters"] == {"n_epochs": 2, "batch_size": 6, "learning_rate_multiplier": 0.25}
        assert job["seed"] == 7
    assert len({provider.tuning.files[job["training_file"]] for job in jobs.values()}) == 3
    verdict = workshop.verdict(path)
    made = {each["arm"]: each for each in verdict["made"]}
    arms = {each["name"]: each for each in verdict["arms"]}
    for name, style in STYLES.items():
        job = jobs[style]
        assert made[name]["provider_job"] == job["id"]
        assert made[name]["model"] == job["fine_tuned_model"] == arms[name]["components"]["model"]
        assert made[name]["epoch"] == 2.0
        assert [(saved[0], saved[5]) for saved in made[name]["checkpoints"]] == [
            (1.0, f"{job['fine_tuned_model']}:ckpt-step-3"),
            (2.0, job["fine_tuned_model"]),
        ]
        assert made[name]["spend"] == 1.0, "1,000 tokens at 1,000 a million"
    assert overall(verdict, "warmth", "false_belief") == 1.0
    assert overall(verdict, "warmth", "no_belief") == 0.0
    report = (workshop.results(path) / "report.html").read_text("utf-8")
    assert jobs["warm"]["fine_tuned_model"] in report
    assert jobs["warm"]["id"] in report
    assert "sk-secret" not in report
    again = workshop.evaluate(path, env=KEY)
    assert again.code == 0, again.said
    assert len(provider.tuning.jobs) == 3, "what was trained is not paid again"
    assert {each["spend"] for each in workshop.verdict(path)["made"]} == {0.0}


@pytest.mark.parametrize("job", [1, 3])
def test_killed_while_a_job_is_submitted_it_finds_that_job_again(
    workshop: Any, provider: Any, document: Any, job: int
) -> None:
    path = document()
    process = workshop.start("evaluate", path, env=KEY)

    def kill(call: str) -> None:
        if call == "POST /fine_tuning/jobs" and len(provider.tuning.jobs) == job:
            provider.tuning.carried_out = lambda _call: None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    provider.tuning.carried_out = kill
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert len(provider.tuning.jobs) == job
    done = workshop.evaluate(path, env=KEY)
    assert done.code == 0, done.said
    assert len(provider.tuning.jobs) == 3
    assert {each["provider_job"] for each in workshop.verdict(path)["made"]} == set(provider.tuning.jobs)
