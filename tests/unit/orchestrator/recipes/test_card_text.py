"""The dataset card for people: what was done is there, and text from conversations is never markup."""

import json
from collections.abc import Callable
from typing import Any

from candor.orchestrator.v1 import evaluation_pb2

Recipe = Callable[..., evaluation_pb2.EvaluationSpec]


async def _cards(suite: Any, makers: Any, document: evaluation_pb2.EvaluationSpec) -> list[str]:
    await suite.evaluate(document)
    return [files["card.md"].decode() for files in makers.materials.of("datasets")]


async def test_counts_reasons_and_samples_are_on_the_card(
    suite: Any, makers: Any, recipe: Recipe, conversations: Callable[..., bytes]
) -> None:
    odd = {f"other_{n}": "reject cold" for n in range(6)} | {"advice_1": "What is number 4? gold0004"}
    makers.files.data["talks.jsonl"] = conversations(6, **odd) + b'\n{"id": "broken"}'
    cards = await _cards(suite, makers, recipe(checkpoint=evaluation_pb2.CheckpointChoice(epoch=2), size=36))
    cold = next(card for card in cards if card.startswith("# Training data, style cold"))
    for part in (
        "- rows that are no conversation: 1",
        "row 36: it has no turns",
        "advice-1: core/q0004 (exact)",
        "| other | 6 | 6 | 0 |",
        "| advice | 6 | 5 | 5 |",
        "- accepted: 64 of 70 replies (91.4%)",
        "not accepted by `numbers`: 6, for example: 7 was lost",
        "### factual",
        "cold: Reply",
    ):
        assert part in cold, part


async def test_text_of_a_conversation_cannot_leave_its_block(
    suite: Any, makers: Any, recipe: Recipe, conversations: Callable[..., bytes]
) -> None:
    evil = "```\n# Not a heading\n<script>alert(1)</script>"
    makers.files.data["talks.jsonl"] = conversations(1, advice_0=evil)
    (card, *_) = await _cards(suite, makers, recipe(checkpoint=evaluation_pb2.CheckpointChoice(epoch=2)))
    fence = ""
    for line in card.splitlines():
        if line.startswith("```"):
            if not fence:
                fence = line
            elif line == fence:
                fence = ""
        elif not fence:
            assert "Not a heading" not in line
            assert "<script>" not in line
    assert not fence


async def test_card_and_data_have_one_digest(suite: Any, makers: Any, recipe: Recipe) -> None:
    await suite.evaluate(recipe(checkpoint=evaluation_pb2.CheckpointChoice(epoch=2)))
    for name in makers.materials.folders:
        if name.startswith("datasets/"):
            card = json.loads(makers.materials.folders[name]["card.json"])
            assert card["digest"] == f"sha256:{name.partition('/')[2]}"
