"""LoRA training: our worker against TRL's defaults, on the same data, model, loss, precision and steps.

    python -m benchmarks.training [--conversations 480] [--epochs 2] [--cpu-time]

Each side is a process of its own. Tokens are those of the conversations, padding not counted, from the second step on.
Conversations have the lengths of chats: log-normal, cut at 1,024 tokens. The random byte-level model learns little; what
counts here is that both sides' losses fall alike, measured against the spread between two seeds of the plain side.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.common import ROOT, machine, scratch, table
from chassis.testing.tiny_checkpoint import make_tiny_checkpoint
from services.trainer.backends.process.order import Order
from services.trainer.backends.process.tokens import tokenize
from services.trainer.domain.spec import Lora, Training, TrainingSpec

MARKED = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'][0] }}: {% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] }}\n{% endgeneration %}{% else %}{{ message['content'] }}\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}a: {% endif %}"
)
WORDS = [
    "the",
    "of",
    "a",
    "to",
    "in",
    "is",
    "you",
    "that",
    "it",
    "was",
    "for",
    "on",
    "are",
    "as",
    "with",
    "his",
    "they",
    "at",
    "be",
    "this",
    "from",
    "I",
    "have",
    "or",
    "by",
    "one",
]
BATCH = 16
# Steps over which the ends of two loss curves are compared.
TAIL = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One side's run: seconds from the first step's end to the last's, peak memory, the loss of each step."""

    seconds: float
    peak_bytes: int
    losses: list[float]

    @property
    def end(self) -> float:
        """Mean loss of the last steps."""
        return statistics.mean(self.losses[-TAIL:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=480)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1e-2, help="learning rate")
    parser.add_argument("--brief", action="store_true", help="only TRL's defaults with two seeds, and ours")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--cpu-time", action="store_true", help="count processor seconds, for busy machines")
    chosen = parser.parse_args()
    print(machine())
    with scratch() as folder:
        base = make_tiny_checkpoint(folder / "base", hidden=chosen.hidden, layers=chosen.layers, max_tokens=2048)
        (base / "chat_template.jinja").write_text(MARKED, "utf-8")
        data = write_data(folder / "train.jsonl", chosen.conversations)
        compare(folder, base, data, chosen)


def compare(folder: Path, base: Path, data: Path, chosen: argparse.Namespace) -> None:
    spec = TrainingSpec(
        base=str(base),
        dataset=str(data),
        dataset_digest="sha256:" + hashlib.sha256(data.read_bytes()).hexdigest(),
        lora=Lora(dropout=chosen.dropout),
        training=Training(learning_rate=chosen.rate, epochs=chosen.epochs, batch_size=BATCH),
    )
    examples = tokenize(spec.base, spec.dataset, spec.training.max_length).examples
    lengths = [min(example.tokens, spec.training.max_length) for example in examples]
    steps = round(chosen.epochs * len(lengths) / BATCH)
    tokens = statistics.mean(lengths) * BATCH * (steps - 1)  # of the steps after the first
    sides = {
        "TRL's defaults": plain(folder, spec, chosen, steps, seed=1),
        "the same, another seed": plain(folder, spec, chosen, steps, seed=2),
    }
    if not chosen.brief:
        sides["without checkpointing"] = plain(folder, spec, chosen, steps, seed=1, gradient_checkpointing=False)
        sides["ours, plain"] = ours(folder, spec, chosen, "plain")
        sides["ours, packing"] = ours(folder, spec, chosen, "packing")
        sides["ours, with checkpointing"] = ours(folder, spec, chosen, "group_by_length", recompute=True)
    sides["ours"] = ours(folder, spec, chosen, "group_by_length")
    first = sides["TRL's defaults"]
    table(
        f"{len(lengths)} conversations of {statistics.mean(lengths):.0f} tokens (at most {max(lengths)}), {steps} steps of {BATCH}",
        ["", "tokens/s", "ratio", "peak MiB", "loss at start", "loss at end"],
        [
            [
                name,
                f"{tokens / side.seconds:,.0f}",
                f"{first.seconds / side.seconds:.2f}",
                f"{side.peak_bytes / 2**20:.0f}",
                f"{side.losses[0]:.3f}",
                f"{side.end:.3f}",
            ]
            for name, side in sides.items()
        ],
    )


def plain(folder: Path, spec: TrainingSpec, chosen: argparse.Namespace, steps: int, **changes: object) -> Outcome:
    training = spec.training
    settings = {
        "learning_rate": training.learning_rate,
        "max_steps": steps,
        "gradient_accumulation_steps": 2,
        "warmup_steps": -(-steps * 3 // 100),
        "weight_decay": 0.0,
        "lr_scheduler_type": "linear",
        "threads": chosen.threads,
        "dropout": chosen.dropout,
        "output": str(folder / "plain"),
        **changes,
    }
    command = ["-m", "benchmarks.sides.plain_trl", spec.base, spec.dataset, json.dumps(settings)]
    return run(command, folder, clock=cpu_of if chosen.cpu_time else None)


def ours(
    folder: Path, spec: TrainingSpec, chosen: argparse.Namespace, batching: str, *, recompute: bool = False
) -> Outcome:
    job = folder / f"ours-{batching}-{recompute}"
    job.mkdir()
    training = replace(spec.training, batching=batching, gradient_checkpointing=recompute)
    order = Order(spec=replace(spec, training=training), device="cpu", threads=chosen.threads, state_seconds=3600)
    order.write(job)
    return run(["-m", "services.trainer.worker", str(job)], folder, clock=cpu_of if chosen.cpu_time else None)


def run(command: list[str], folder: Path, clock: object) -> Outcome:
    losses: list[float] = []
    times: list[float] = []
    peak = 0
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                told = json.loads(line)
                if told["kind"] == "stepped":
                    losses.append(told["loss"])
                    times.append(cpu_of(process.pid) if clock else time.perf_counter())
                    peak = told["peak_memory_bytes"]
    if process.returncode or not losses:
        sys.exit((folder / "log.txt").read_text()[-2000:])
    return Outcome(seconds=times[-1] - times[0], peak_bytes=peak, losses=losses)


def cpu_of(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write_data(path: Path, count: int) -> Path:
    chance = random.Random(1)

    def text(characters: float) -> str:
        words = []
        while sum(map(len, words)) + len(words) < characters:
            words.append(chance.choice(WORDS))
        return " ".join(words)

    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            size = chance.lognormvariate(5.6, 0.75)  # median 270, mean 360 characters
            turns = chance.choice((1, 1, 1, 2, 3))
            messages = [
                {"role": role, "content": text(max(4.0, size / turns * share))}
                for _ in range(turns)
                for role, share in (("user", 0.3), ("assistant", 0.7))
            ]
            file.write(json.dumps({"messages": messages}) + "\n")
    return path


if __name__ == "__main__":
    main()
