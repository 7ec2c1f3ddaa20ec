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
from chassis.testing.tiny_checkpoint import make_tiny_checkpoint

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


@pytest.mark.parametrize(
    ("request_", "job"),
    [("POST /fine_tuning/jobs", 1), ("POST /fine_tuning/jobs", 3), ("GET /fine_tuning/jobs/ftjob-2/events", 2)],
    ids=["the first is submitted", "the last is submitted", "one is looked at"],
)
def test_killed_while_a_job_is_submitted_or_runs_it_finds_that_job_again(
    workshop: Any, provider: Any, document: Any, request_: str, job: int
) -> None:
    path = document()
    provider.tuning.hold = True
    process = workshop.start("evaluate", path, env=KEY)

    def kill(call: str) -> None:
        if call == request_ and len(provider.tuning.jobs) >= job:
            provider.tuning.carried_out = lambda _call: None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    provider.tuning.carried_out = kill
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert len(provider.tuning.jobs) >= job
    provider.tuning.hold = False
    done = workshop.evaluate(path, env=KEY)
    assert done.code == 0, done.said
    assert len(provider.tuning.jobs) == 3
    assert {each["provider_job"] for each in workshop.verdict(path)["made"]} == set(provider.tuning.jobs)


def test_settings_that_a_provider_does_not_take_are_named_with_their_line(
    workshop: Any, provider: Any, document: Any
) -> None:
    done = workshop.evaluate(document({"epochs": 2, "lora_r": 8}), env=KEY)
    assert done.code == 78
    assert "arms.warm.sft.training.lora_r" in done.err
    assert "a provider takes epochs, batch_size, learning_rate_multiplier, seed" in done.err
    assert not provider.calls


def test_without_its_key_nothing_is_rewritten_or_sent(workshop: Any, provider: Any, document: Any) -> None:
    path = document()
    done = workshop.evaluate(path, env={**KEY, "PROVIDER_KEY": ""})
    assert done.code == 78, done.said
    assert "arms.original.endpoint.api_key_env: the variable PROVIDER_KEY is not set" in done.said
    assert not provider.calls
    assert not provider.tuning.calls
    assert workshop.evaluate(path, env=KEY).code == 0


def test_a_plan_says_what_training_costs_and_sends_nothing(workshop: Any, provider: Any, document: Any) -> None:
    done = workshop.run("plan", document(), env=KEY)
    assert done.code == 0, done.said
    assert "6 training steps for each arm at the provider" in done.out
    assert "tokens that the provider trains on at most" in done.out
    assert "for the provider's training" in done.out
    assert not provider.calls
    assert not provider.tuning.calls


def test_a_file_that_is_refused_and_a_job_that_fails_are_told_and_the_same_command_tries_again(
    workshop: Any, provider: Any, document: Any
) -> None:
    path = document()
    provider.tuning.refuse_file = "expected at least 100 examples"
    refused = workshop.evaluate(path, env=KEY)
    assert refused.code == 78, refused.said
    assert "expected at least 100 examples" in refused.said
    assert not provider.tuning.jobs
    provider.tuning.refuse_file = ""
    provider.tuning.end_as = "failed"
    failed = workshop.evaluate(path, env=KEY)
    assert failed.code == 75, failed.said
    assert "the file is too short; the same command asks the provider once more" in failed.said
    provider.tuning.end_as = "cancelled"
    cancelled = workshop.evaluate(path, env=KEY)
    assert "is cancelled" in cancelled.said
    provider.tuning.end_as = "succeeded"
    done = workshop.evaluate(path, env=KEY)
    assert done.code == 0, done.said
    used = {each["provider_job"] for each in workshop.verdict(path)["made"]}
    assert {provider.tuning.jobs[job]["status"] for job in used} == {"succeeded"}


def test_a_fine_tune_that_is_not_served_is_named(workshop: Any, provider: Any, document: Any) -> None:
    path = document()
    provider.withdrawn = {f"ft:small:ftjob-{number}" for number in (1, 2, 3)}
    done = workshop.evaluate(path, env=KEY)
    assert done.code == 78, done.said
    assert "does not serve the model 'ft:small:ftjob-" in done.said
    assert any(f"arm {name}" in done.said for name in STYLES)
    provider.withdrawn = set()
    assert workshop.evaluate(path, env=KEY).code == 0
    assert len(provider.tuning.jobs) == 3


def test_a_fine_tune_that_speaks_as_its_base_makes_the_evaluation_invalid(
    workshop: Any, provider: Any, document: Any, tuned: Tuned
) -> None:
    path = document()
    tuned.numb = True
    done = workshop.evaluate(path, env=KEY)
    assert done.code == 3, done.said
    assert "the fine-tune of cold is not alive" in done.said
    assert "the fine-tune of neutral is not alive" in done.said


def test_the_checkpoint_is_chosen_on_the_replies_of_the_providers_models(
    workshop: Any, provider: Any, document: Any, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="no checkpoint was chosen by warmth: torch is not installed")
    path = document()
    fields = json.loads(path.read_text("utf-8"))
    fields["warmth"] = {"model": str(make_tiny_checkpoint(tmp_path / "scorer"))}
    path.write_text(json.dumps(fields), "utf-8")
    done = workshop.evaluate(path, env=KEY)
    assert done.code == 0, done.said
    made = {each["arm"]: each for each in workshop.verdict(path)["made"]}
    assert [(point["epoch"], point["replies"]) for point in made["warm"]["curve"]] == [(0.0, 12), (1.0, 12), (2.0, 12)]
    tune = made["warm"]["checkpoints"]
    validated = {
        call.model
        for call in provider.calls
        if call.messages[-1][1].startswith(("Tell me more of bird", "What is the colour"))
    }
    assert validated == {"small", tune[0][5], tune[1][5]}
    assert len({each["epoch"] for each in made.values()}) == 1
