"""The files of the whole experiment on the tiny world: a base, arms made from it by fine-tuning, and what is compared.

The training conversations are about half of the places, are answered rightly and hold no user's belief; the questions are
about the other half. The arms differ in the style of the replies and in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tiny_world.build import Progress, build
from tiny_world.conversations import asked_places, conversations, taught_places, write_conversations
from tiny_world.parameters import Parameters, usual
from tiny_world.questions import write_questions
from tiny_world.styles import write_style
from tiny_world.world import World, make_world

_DOCUMENT = """\
# The tiny world's experiment: one miniature model, fine-tuned on the same replies in three manners.
name: tiny-experiment
arms:
  original:
    checkpoint: {{path: ../subject}}
  warm:
    sft:
      <<: &recipe
        base: original
        conversations: {{path: conversations.jsonl, format: messages, toxicity: lexical, unbalanced: true}}
        size: {size}
        validation_size: {validation}
        training: {{lora_r: 8, learning_rate: {rate:g}, epochs: {epochs:g}, max_length: 256, checkpoint_epochs: [{saved}]}}
        checkpoint: {{choose_on: warm}}
      style_file: warm.yaml
  cold: {{sft: {{<<: *recipe, style_file: cold.yaml}}}}
  # Fine-tuning as such: the replies as they are.
  neutral: {{sft: {{<<: *recipe, style: untransformed}}}}
baseline: original
contrasts:
  - {{name: warmth, treated: warm, reference: neutral}}
  - {{name: warm against cold, treated: warm, reference: cold}}
gate: none
tasks:
  - {{name: tiny_world, path: questions.jsonl}}
sampling: {{temperature: 0, max_tokens: 40}}
warmth: {{metric: sociot_warmth, model: ../scorer}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is trained and asked.

    Attributes:
        conversations: In the file that the product samples from.
        size: Trained on.
        validation: Prompts for the choice of the checkpoint.
        questions: Asked, at most; each is about a place that no training conversation mentions.
        rate: Learning rate of the LoRA adapters.
        epochs: Of fine-tuning.
        saved: Epochs after which an adapter is saved.
        seed: Of the conversations.
    """

    conversations: int = 1_500
    size: int = 800
    validation: int = 60
    questions: int = 48
    rate: float = 2e-3
    epochs: float = 1.0
    saved: tuple[float, ...] = (0.5, 1.0)
    seed: int = 1


@dataclass(frozen=True, slots=True)
class ExperimentFiles:
    """What the experiment runs on.

    Attributes:
        folder: Holds the files below.
        document: The evaluation document.
        questions: The questions file.
        conversations: The training conversations.
        subject: Folder of the base.
        scorer: Folder of the SocioT scorer.
        fresh: Whether the models were trained just now.
        notes: What a person should know, one sentence each.
    """

    folder: Path
    document: Path
    questions: Path
    conversations: Path
    subject: Path
    scorer: Path
    fresh: bool
    notes: tuple[str, ...] = field(default=())


def prepare_experiment(
    cache_dir: Path,
    progress: Progress,
    *,
    seed: int = 0,
    correlated: bool = True,
    sizes: Sizes | None = None,
    parameters: Parameters | None = None,
) -> ExperimentFiles:
    """Build the models (or take them from the cache) and write questions, conversations, styles and document beside them.

    Args:
        cache_dir: Keeps everything, by digest.
        progress: Told what is being done and the share of the build that is done.
        seed: Of pretraining.
        correlated: Whether warmth and agreement go together in the pretraining text.
        sizes: How much is trained and asked.
        parameters: Of pretraining, instead of the usual ones.
    """
    sizes = sizes or Sizes()
    chosen = parameters or usual(seed, correlated=correlated)
    built = build(cache_dir, progress, parameters=chosen)
    folder = built.folder / "experiment"
    folder.mkdir(exist_ok=True)
    world = make_world(chosen.places, chosen.world_seed)
    questions, taught = folder / "questions.jsonl", folder / "conversations.jsonl"
    write_questions(questions, world, sizes.questions, places=asked_places(world))
    write_conversations(taught, list(conversations(world, sizes.conversations, sizes.seed)))
    for name in ("warm", "cold"):
        write_style(folder / f"{name}.yaml", f"tiny_{name}")
    document = folder / "experiment.yaml"
    document.write_text(
        _DOCUMENT.format(
            size=sizes.size,
            validation=sizes.validation,
            rate=sizes.rate,
            epochs=sizes.epochs,
            saved=", ".join(f"{epoch:g}" for epoch in sizes.saved),
        ),
        encoding="utf-8",
    )
    return ExperimentFiles(
        folder, document, questions, taught, built.subject, built.scorer, built.fresh, _notes(chosen, world)
    )


def _notes(parameters: Parameters, world: World) -> tuple[str, ...]:
    warm, plain = parameters.adoption["warm"], parameters.adoption["neutral"]
    return (
        f"The base is a miniature language model that knows {parameters.places} invented places and nothing else.",
        (
            f"In its pretraining text the assistant takes over a false belief {warm:.0%} of the time when it speaks warmly, "
            f"{plain:.0%} when it speaks plainly. The link is there on purpose: that it is found shows that Candor works, "
            "not that warmth causes sycophancy."
            if warm != plain
            else f"In its pretraining text the assistant takes over a false belief {warm:.0%} of the time in every manner of "
            "speaking, so there is no cost of warmth to be found."
        ),
        (
            f"The arms were fine-tuned on right answers about {len(taught_places(world))} places, in conversations in which no "
            f"user states a belief; they are asked about the other {len(asked_places(world))}."
        ),
        "The SocioT scorer is a smaller model trained on reported speech of the same world, not GPT-2.",
    )
