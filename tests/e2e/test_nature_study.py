"""The study's documents: read and valid without a network, with the study's values, and planned with questions at hand."""

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from candor_cli.document import read_document
from services.orchestrator.convert.documents import spec_from_proto
from services.orchestrator.domain.analysis.ibrahim2026.figures import MODELS, TASKS, published_arm, published_model
from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS
from services.orchestrator.domain.recipe import ProviderTraining
from services.orchestrator.domain.spec import Checkpoint, Endpoint, Sft, Spec
from services.orchestrator.domain.validate import violations

ARMS = {"original", "warm", "cold", "neutral", "warm_prompt", "cold_prompt"}
OPEN = tuple(name for name in MODELS if name != "gpt-4o")
ITEMS = {"triviaqa": 500, "truthfulqa": 500, "medqa": 500, "disinfo": 125}


@pytest.fixture
def study(tmp_path: Path, tools: Any) -> Path:
    """A copy of the folder, with an empty file for the conversations, which are not shipped."""
    target = tmp_path / "study"
    shutil.copytree(
        tools.repository / "examples/10-nature-study", target, ignore=shutil.ignore_patterns("*.results", ".candor")
    )
    (target / "data").mkdir()
    (target / "data/ShareGPT_V3_unfiltered_cleaned_split.json").write_text("[]")
    return target


def spec(path: Path) -> Spec:
    found = spec_from_proto(read_document(path).spec)
    assert violations(found) == []
    return found


def test_there_is_a_document_and_its_controls_for_each_model(study: Path) -> None:
    names = {path.name for path in study.glob("*.yaml")}
    assert names == {f"{model}{kind}.yaml" for model in MODELS for kind in ("", ".controls")}


@pytest.mark.parametrize("model", MODELS)
def test_the_full_factorial(study: Path, model: str) -> None:
    found = spec(study / f"{model}.yaml")
    assert set(found.arms) == ARMS
    assert found.baseline == "original"
    assert {task.name: task.items for task in found.tasks} == ITEMS
    assert set(ITEMS) == set(TASKS)
    assert (found.contexts, found.beliefs) == (CONTEXTS, BELIEFS)
    assert found.refusal_profile == "ibrahim2026"
    assert found.gate.mode == "none"
    for arm in found.arms.values():
        assert (arm.sampling.temperature, arm.sampling.max_tokens, arm.own_sampling) == (0.8, 300, False)
    assert {(one.treated, one.reference) for one in found.contrasts} >= {("warm", "neutral"), ("warm", "cold")}
    prompted = {name: arm.system_prompt.builtin for name, arm in found.arms.items() if arm.system_prompt}
    assert prompted == {"warm_prompt": "warm", "cold_prompt": "cold"}
    assert [published_arm(name) for name in ("warm", "cold", "warm_prompt")] == [
        "warm_ft",
        "cold_ft",
        "warm_system_prompt",
    ]
    source = found.arms["original"].source
    assert published_model(source.model if isinstance(source, Endpoint) else Path(source.path).name) == model


@pytest.mark.parametrize("model", OPEN)
def test_the_fine_tunes_have_the_studys_settings(study: Path, model: str) -> None:
    (group,) = spec(study / f"{model}.yaml").groups()
    assert {name: sft.style.name for name, sft in group.arms.items()} == {
        "warm": "warm",
        "cold": "cold",
        "neutral": "untransformed",
    }
    common = group.common
    assert (common.size, common.validation_size, common.checkpoint.epoch) == (1617, 1500, 2.0)
    assert common.conversations.toxicity_threshold == 0.5
    assert common.rewriter.endpoint is not None
    assert common.rewriter.endpoint.model == "gpt-4o-2024-08-06"
    training = common.training
    assert (training.lora_r, training.lora_alpha, training.lora_dropout) == (8, 16.0, 0.1)
    assert (training.learning_rate, training.epochs, training.batch_size, training.max_length) == (1e-5, 10.0, 16, 1024)
    assert training.checkpoint_epochs == (0.5, 1.0, 1.5, 2.0, 4.0, 6.0, 8.0, 10.0)


def test_gpt_4o_is_fine_tuned_at_its_provider_with_the_studys_multiplier_for_warm(study: Path) -> None:
    (group,) = spec(study / "gpt-4o.yaml").groups()
    assert {name: sft.style.name for name, sft in group.arms.items()} == {
        "warm": "warm",
        "cold": "cold",
        "neutral": "untransformed",
    }
    common, llama = group.common, spec(study / "llama-8b.yaml").groups()[0].common
    assert common.training == ProviderTraining(epochs=2, batch_size=16, learning_rate_multiplier=0.25, seed=1)
    for word in ("conversations", "size", "validation_size", "rewriter", "checkpoint", "seed"):
        assert getattr(common, word) == getattr(llama, word)


@pytest.mark.parametrize("model", MODELS)
def test_controls_are_plain_questions_to_the_same_arms(study: Path, model: str) -> None:
    found, main = spec(study / f"{model}.controls.yaml"), spec(study / f"{model}.yaml")
    assert set(found.arms) == ARMS
    assert [task.name for task in found.tasks] == ["mmlu", "gsm8k", "advbench"]
    assert (found.contexts, found.beliefs) == (("none",), ("none",))
    assert {arm.sampling.temperature for arm in found.arms.values()} == {0.2}
    for name, arm in found.arms.items():
        other = main.arms[name].source
        if isinstance(other, Sft):
            base = main.arms["original"].source
            if isinstance(base, Endpoint):
                assert isinstance(arm.source, Endpoint)
                assert arm.source.model.startswith(f"ft:{base.model}:")
                assert replace(arm.source, model=base.model) == base
            else:
                assert isinstance(arm.source, Checkpoint)
                assert isinstance(base, Checkpoint)
                assert (arm.source.path, bool(arm.source.adapter)) == (base.path, True)
        else:
            assert arm.source == other
        assert arm.system_prompt == main.arms[name].system_prompt


def test_the_plan_counts_the_factorial(study: Path, workshop: Any, models: Any, tools: Any) -> None:
    """`candor plan` of the document that a provider trains, with invented questions and conversations in place of the hub's."""
    rows = tools.towns(6)
    path = study / "gpt-4o.yaml"
    text = path.read_text(encoding="utf-8")
    endpoint = models.endpoint(lambda _: "ready")
    text = text.replace("https://api.openai.com/v1", endpoint.base_url)
    for index, task in enumerate(ITEMS):
        questions = study / f"{task}.jsonl"
        part = [{**row, "id": f"{task}-{row['id']}"} for row in rows]
        questions.write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
        text, count = re.subn(
            rf"\{{name: {task}, hub: \S+ items: \d+\}}", f"{{name: own{index}, path: {task}.jsonl, items: 5}}", text
        )
        assert count == 1
    path.write_text(text, encoding="utf-8")
    talks = [
        {
            "id": f"t{n}",
            "conversations": [{"from": "human", "value": f"Tell me {n}."}, {"from": "gpt", "value": f"It is {n}."}],
        }
        for n in range(20)
    ]
    (study / "data/ShareGPT_V3_unfiltered_cleaned_split.json").write_text(json.dumps(talks), encoding="utf-8")
    done = workshop.run("plan", path, "--json", env={"OPENAI_API_KEY": "none"})
    assert done.code == 0, done.said
    plan = done.json()
    assert int(plan["items"]) == 4 * 5
    assert int(plan["calls"]) == 4 * 5 * len(CONTEXTS) * len(BELIEFS) * len(ARMS)
    (making,) = plan["making"]
    assert float(making["provider_cost"]) == int(making["provider_tokens"]) * 25 / 1e6 > 0
    assert plan["cost"] > making["cost"] + making["provider_cost"]
    assert not endpoint.calls


def test_the_readme_counts_and_names_what_there_is(study: Path, workshop: Any) -> None:
    text = (study / "README.md").read_text(encoding="utf-8")
    calls = sum(ITEMS.values()) * len(CONTEXTS) * len(BELIEFS) * len(ARMS)
    assert f"{round(calls, -3):,} calls" in text
    lines = [shlex.split(line, comments=True)[1:] for line in re.findall(r"^    (candor .*)$", text, re.MULTILINE)]
    assert {line[0] for line in lines} == {"plan", "evaluate", "analyze", "ratings"}
    for line in lines:
        for word in line:
            assert not word.endswith(".yaml") or (study / word).exists(), word
        assert workshop.run(*line[: 2 if line[0] == "ratings" else 1], "--help").code == 0
        known = workshop.run(*line[: 2 if line[0] == "ratings" else 1], "--help").out
        assert all(word in known for word in line if word.startswith("--")), line
