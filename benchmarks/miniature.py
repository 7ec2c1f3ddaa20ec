"""Train the tiny world and measure what its subject does: the numbers of tiny_world/README.md.

    python benchmarks/miniature.py [--seeds 0 1 2] [--worlds correlated null] [--cache DIR] [--threads 2]

Every fact is asked in the default design's ten cells through Candor's own prompts, greedily, once without a system line and
once under one of each register; replies are graded by the deterministic grader and scored by the world's own scorer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.grader.backends.sociot_torch import TorchScorer
from services.grader.domain.answers.case import AnswerCase, AnswerGrade
from services.grader.domain.answers.grade import grade
from services.orchestrator.domain import conditions, prompts
from services.orchestrator.domain.items import Item
from services.orchestrator.domain.tasks import own
from services.orchestrator.domain.tasks.source import Problems, Row
from tiny_world.build import Built, build
from tiny_world.corpus import CORRELATED, Corpus
from tiny_world.language import REGISTERS, language
from tiny_world.parameters import Parameters, usual
from tiny_world.questions import rows as question_rows
from tiny_world.speech import TONES, Speech
from tiny_world.world import make_world

Job = tuple[Item, conditions.Cell]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--worlds", nargs="+", choices=("correlated", "null"), default=["correlated"])
    parser.add_argument("--cache", type=Path, default=Path("build/tiny_world"))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--show", type=int, default=0, help="print so many replies of each arm")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    for world in chosen.worlds:
        for seed in chosen.seeds:
            wall, processor = time.perf_counter(), time.process_time()
            parameters = usual(seed, correlated=world == "correlated")
            built = build(chosen.cache, lambda *_: None, parameters=parameters)
            took = f"{time.perf_counter() - wall:.0f} s wall, {time.process_time() - processor:.0f} s processor"
            print(f"\n{world} world, seed {seed}: {'trained in' if built.fresh else 'from the cache,'} {took}")
            measure(built, parameters, chosen.show)


def measure(built: Built, parameters: Parameters, show: int) -> None:
    world = make_world(parameters.places, parameters.world_seed)
    problems = Problems()
    found, _ = own.items(
        "tiny_world", [Row("questions", i, row) for i, row in enumerate(question_rows(world, 10_000))], 1, problems
    )
    jobs = [
        (item, cell)
        for item, cells in zip(found, conditions.assign(found, None, None, 1), strict=True)
        for cell in cells
    ]
    scorer = TorchScorer()
    for register in ("none", *REGISTERS):
        line = "" if register == "none" else language().system_lines[register][0]
        start = time.perf_counter()
        replies = answer(built.subject, jobs, line)
        seconds = time.perf_counter() - start
        scores = score(scorer, built.scorer, replies[:: max(1, len(replies) // 200)])
        print(f"  system line: {line or 'none':34} SocioT warmth {statistics.mean(scores):+.3f}   {seconds:.0f} s")
        table(jobs, replies)
        for (item, cell), reply in list(zip(jobs, replies, strict=True))[: 7 * show : 7]:
            print(f"      {cell.context} {cell.belief} | {prompts.render(item, cell)[0][1][-70:]} -> {reply}")
    heldout(scorer, built.scorer, Corpus(world, language(), CORRELATED, 987_654))


def table(jobs: Sequence[Job], replies: Sequence[str]) -> None:
    cells: dict[tuple[str, str], list[AnswerGrade]] = defaultdict(list)
    for (item, cell), reply in zip(jobs, replies, strict=True):
        case = AnswerCase(
            question=item.question,
            gold=item.gold,
            false_answers=item.false_answers,
            kind=item.kind,
            belief=cell.belief,
            reply=reply or "-",
        )
        cells["none" if cell.context == "none" else "a context", cell.belief].append(grade(case))
    for context in ("none", "a context"):
        parts = []
        for belief in conditions.BELIEFS:
            grades = cells[context, belief]
            wrong = sum(found.verdict.value == "incorrect" for found in grades)
            unsure = sum(found.verdict.value in ("ungradable", "refusal") for found in grades)
            adopted = [found.adopts for found in grades if found.adopts is not None]
            text = f"{belief} {wrong / len(grades):.1%}"
            if belief in ("asserts_false", "denies_true") and adopted:
                text += f" (adopts {sum(adopted) / len(adopted):.0%})"
            parts.append(text + (f" [{unsure} undecided]" if unsure else ""))
        print(f"    errors, context {context:9}  " + "   ".join(parts))


@torch.inference_mode()
def answer(folder: Path, jobs: Sequence[Job], line: str, rows: int = 64) -> list[str]:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    tokenizer.padding_side = "left"
    system = [{"role": "system", "content": line}] if line else []
    texts = [
        tokenizer.apply_chat_template(
            [*system, *({"role": role, "content": content} for role, content in prompts.render(item, cell))],
            add_generation_prompt=True,
            tokenize=False,
        )
        for item, cell in jobs
    ]
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    found: dict[int, str] = {}
    for start in range(0, len(order), rows):
        part = order[start : start + rows]
        batch = tokenizer([texts[i] for i in part], return_tensors="pt", padding=True, add_special_tokens=False)
        output = model.generate(**_inputs(batch), max_new_tokens=40)
        said = tokenizer.batch_decode(output[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        found.update(zip(part, said, strict=True))
    return [found[index] for index in range(len(texts))]


def heldout(scorer: TorchScorer, folder: Path, corpus: Corpus) -> None:
    """How the scorer orders texts that it was not trained on (a fresh stream of the same language)."""
    speech = Speech(corpus, 987_654, replies=0.3)
    by_tone = {tone: score(scorer, folder, [speech.text(tone) for _ in range(100)]) for tone in TONES}
    means = "  ".join(f"{tone} {statistics.mean(values):+.3f}" for tone, values in by_tone.items())
    area = {
        pair: statistics.fmean((a > b) + 0.5 * (a == b) for a in by_tone[pair[0]] for b in by_tone[pair[1]])
        for pair in (("warm", "neutral"), ("neutral", "cold"))
    }
    areas = "  ".join(f"{a} over {b} {value:.3f}" for (a, b), value in area.items())
    print(f"  scorer on fresh speech: {means}   AUC {areas}")


def score(scorer: TorchScorer, folder: Path, texts: Sequence[str]) -> list[float]:
    async def collect() -> list[float]:
        stream = scorer.score(texts, ["sociot_warmth"], "reference", str(folder), 300)
        return [outcome.scores[0].value async for _, outcome in stream]  # type: ignore[union-attr]

    return asyncio.run(collect())


def _inputs(batch: Any) -> dict[str, Any]:
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


if __name__ == "__main__":
    main()
