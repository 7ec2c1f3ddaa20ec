"""SocioT throughput, GPT-2-small shape, against the published code's loop of 100 dropout passes, in one run.

    python benchmarks/sociot.py [--texts 64] [--loop-passes 100] [--threads 2] [--bf16 N]

Random weights cost the same as trained ones, and so do the texts' tokens; the tokenizer is a stand-in that gives English
about as many tokens as GPT-2's (four to five characters each). Every figure is a ratio inside this run. The machine's GEMM
rate is measured right before and right after, on the model's own shapes, and the mean of the two is used.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from services.grader.backends.sociot_load import load
from services.grader.backends.sociot_torch import TorchScorer
from services.grader.domain import sociot

WIDTH, LAYERS, VOCABULARY = 768, 12, 50257
METRIC = "sociot_warmth"
clock = time.perf_counter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=64, help="texts scored")
    parser.add_argument("--loop-texts", type=int, default=1, help="texts put through the dropout loop")
    parser.add_argument("--loop-passes", type=int, default=100, help="passes of the loop; fewer are scaled up")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--cpu-time", action="store_true", help="count processor seconds instead of wall time, for busy machines"
    )
    parser.add_argument(
        "--bf16", type=int, default=0, metavar="N", help="score N texts in bf16 as well (slow without hardware)"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.cpu_time:
        global clock  # noqa: PLW0603 - one clock for the whole run
        clock = time.process_time
    texts = make_texts(chosen.texts)
    with tempfile.TemporaryDirectory() as folder:
        make_model(folder)
        run(folder, texts, chosen)


def run(folder: str, texts: list[str], chosen: argparse.Namespace) -> None:
    scorer, model = TorchScorer(threads=chosen.threads), load(folder, threads=chosen.threads)
    lengths = [len(model.read(phrase, text).ids) for text in texts for phrase in sociot.phrases([metric()])]
    score(scorer, folder, texts[:2])  # loads, and warms the caches
    before = gemm_rate()
    seconds, scores = timed(lambda: score(scorer, folder, texts))
    after = gemm_rate()
    gemm = (before + after) / 2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    loop = min(loop_seconds(model, text, chosen.loop_passes) for text in texts[: chosen.loop_texts])
    loop *= 100 / chosen.loop_passes
    rate = len(texts) / seconds
    work = flops(lengths)
    print(
        f"{chosen.threads} threads, {len(texts)} texts of 300 characters, {statistics.mean(lengths):.1f} tokens a string"
    )
    row("published loop, 100 passes", f"{1 / loop:.4f} texts/s")
    row("candor, fp32", f"{rate:.2f} texts/s")
    row("ratio", f"{rate * loop:.0f} x")
    row("GEMM of this machine", f"{gemm / 1e9:.0f} GFLOP/s ({before / 1e9:.0f} before, {after / 1e9:.0f} after)")
    row("share of the GEMM rate, all positions", f"{work / seconds / gemm:.0%} (as if nothing were left out)")
    row("peak memory", f"{peak:.1f} GiB")
    if chosen.bf16:
        half = TorchScorer(dtype="bfloat16", threads=chosen.threads)
        part = texts[: chosen.bf16]
        score(half, folder, part[:1])
        seconds, rough = timed(lambda: score(half, folder, part))
        gaps = [abs(a - b) for a, b in zip(scores, rough, strict=False)]
        row("candor, bf16", f"{len(part) / seconds:.2f} texts/s")
        row("bf16 error of a score", f"mean {statistics.mean(gaps):.1e}, largest {max(gaps):.1e} nats per token")
        row("spread of the scores themselves", f"{statistics.pstdev(scores):.1e} nats per token")


def score(scorer: TorchScorer, folder: str, texts: list[str]) -> list[float]:
    async def collect() -> dict[int, float]:
        stream = scorer.score(texts, [METRIC], "reference", folder, 300)
        return {index: outcome.scores[0].value async for index, outcome in stream}  # type: ignore[union-attr]

    found = asyncio.run(collect())
    return [found[index] for index in range(len(texts))]


def loop_seconds(model: Any, text: str, passes: int) -> float:
    """The published loop for one text: each phrase set as one batch, dropout on, every pass in full."""
    lm = model.model.train()
    batches = []
    for part in sociot.sets(metric()):
        ids, mask, _ = model.rectangle([model.read(phrase, text).ids for phrase in part])
        batches.append({"input_ids": ids, "attention_mask": mask, "labels": ids})
    start = clock()
    with torch.no_grad():
        for batch in batches:
            for _ in range(passes):
                lm(**batch).loss.item()
    seconds = clock() - start
    lm.eval()
    return seconds


def gemm_rate() -> float:
    """FLOP/s of the matrix products of one layer and of the output, in the model's own shapes, 2,048 rows."""
    shapes = [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH), (WIDTH, 4096)]
    pairs = [(torch.randn(2048, k), torch.randn(n, k)) for k, n in shapes]

    def once() -> None:
        for a, b in pairs:
            torch.nn.functional.linear(a, b)

    once()
    best = min(timed(once)[0] for _ in range(7))
    return sum(2 * 2048 * k * n for k, n in shapes) / best


def flops(lengths: list[int]) -> float:
    """Multiplications and additions of reading every string whole: blocks, attention, and the output at each position."""
    per_token = 2 * (LAYERS * 12 * WIDTH**2 + WIDTH * VOCABULARY)
    return sum((n - 1) * per_token + LAYERS * 4 * WIDTH * (n - 1) * n / 2 for n in lengths)


def make_model(folder: str) -> None:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    said = [f"{phrase}," for phrase in sociot.phrases(sociot.metrics().values())] * 20
    trainer = trainers.BpeTrainer(
        vocab_size=5000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, special_tokens=["!"]
    )
    bpe.train_from_iterator(said + make_texts(400), trainer)
    PreTrainedTokenizerFast(tokenizer_object=bpe).save_pretrained(folder)
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(n_embd=WIDTH, n_layer=LAYERS, n_head=12)).save_pretrained(folder)


def make_texts(count: int) -> list[str]:
    source = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(source.choices(letters, k=source.choice((2, 3, 3, 4, 4, 5, 6, 7)))) for _ in range(1500)]
    return [" ".join(source.choices(words, k=80))[:300] for _ in range(count)]


def metric() -> Any:
    return sociot.metrics()[METRIC]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = clock()
    value = call()
    return clock() - start, value


def row(name: str, value: str) -> None:
    print(f"  {name:40} {value}")


if __name__ == "__main__":
    main()
