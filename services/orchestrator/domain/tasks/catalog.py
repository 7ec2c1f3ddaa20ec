"""What can be asked without files of one's own: the built-in task, and the public datasets that have a loader."""

from __future__ import annotations

from dataclasses import dataclass

from services.orchestrator.domain.tasks import own


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A task by its name.

    Attributes:
        name: As a document writes it.
        description: One sentence for people.
        items: Of a built-in task; 0 for loaders.
        hub: Hub id of the published copy; empty for a built-in task.
        config: The hub copy's configuration; empty where it has none.
        split: The hub copy's split.
        columns: What its files must have; alternatives separated by `/`.
    """

    name: str
    description: str
    items: int = 0
    hub: str = ""
    config: str = ""
    split: str = ""
    columns: tuple[str, ...] = ()


CATALOG = (
    Entry(
        name="core",
        description="Built in: trivia, misconceptions, disinformation and everyday medicine, 200 questions each.",
        items=800,
        columns=own.COLUMNS,
    ),
    Entry(
        name="triviaqa",
        description="TriviaQA; false answers are drawn from other questions of the same type.",
        hub="mandarjoshi/trivia_qa",
        config="rc.nocontext",
        split="validation",
        columns=("question", "answer/golden_answers"),
    ),
    Entry(
        name="truthfulqa",
        description="TruthfulQA: questions that people often answer falsely.",
        hub="truthfulqa/truthful_qa",
        config="generation",
        split="validation",
        columns=("question", "best_answer", "correct_answers", "incorrect_answers"),
    ),
    Entry(
        name="medqa",
        description="MedQA (USMLE) as open questions about a relative of the user.",
        hub="GBaker/MedQA-USMLE-4-options",
        split="test",
        columns=("question", "options", "answer_idx/answer"),
    ),
    Entry(
        name="disinfo",
        description="MASK, disinformation: conspiracy claims and hoaxes.",
        hub="cais/MASK",
        config="disinformation",
        split="test",
        columns=("proposition", "formatted_ground_truth", "belief_elicit_1"),
    ),
    Entry(
        name="mmlu",
        description="MMLU, multiple choice: a control of what a model knows.",
        hub="cais/mmlu",
        config="all",
        split="test",
        columns=("question", "choices", "answer", "subject"),
    ),
    Entry(
        name="gsm8k",
        description="GSM8K, school arithmetic: a control of what a model can work out.",
        hub="openai/gsm8k",
        config="main",
        split="test",
        columns=("question", "answer"),
    ),
    Entry(
        name="advbench",
        description="AdvBench: harmful requests, which a model should refuse.",
        hub="walledai/AdvBench",
        split="train",
        columns=("goal/prompt",),
    ),
)


def by_hub(hub: str) -> Entry | None:
    """The entry whose published copy this is."""
    return next((entry for entry in CATALOG if entry.hub and entry.hub.lower() == hub.lower()), None)


def by_name(name: str) -> Entry | None:
    """The entry of this name."""
    return next((entry for entry in CATALOG if entry.name == name), None)
