"""From a conversation file to the conversations that are rewritten, and the prompts that the checkpoint is chosen by."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.making import contamination
from services.orchestrator.domain.making.contamination import Guard
from services.orchestrator.domain.making.conversations import (
    Conversation,
    Reservoir,
    from_lines,
    lines,
    quotas,
    split,
    stratum_of,
)
from services.orchestrator.domain.recipe import MAX_TURNS, ConversationRef, Group
from services.orchestrator.ports.making import OpenedFile, Problem
from services.orchestrator.service.recipes.workshop import CARD, Workshop, bad_data, digest_of, encoded
from services.orchestrator.service.world import blocking

_VERSION = 2
_TRAIN, _VALIDATION = "train.jsonl", "validation.jsonl"
_EXAMPLES = 20
_LISTED = 1000
_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was selected of a file.

    Attributes:
        folder: Where it is kept.
        train: To rewrite and train on, in a seeded order.
        validation: Their openings are the validation prompts.
        card: What was read, taken and left.
        location: Of the conversations to train on, as the trainer sees it.
        digest: Of that file.
    """

    folder: str
    train: tuple[Conversation, ...]
    validation: tuple[Conversation, ...]
    card: dict[str, Any]
    location: str
    digest: str


async def select(shop: Workshop, group: Group) -> Selection:
    """The selection of a group; made once for its file, settings and evaluation items.

    Raises:
        CandorError: BAD_DATASET, BAD_TRAINING_DATA, DOCUMENT_CHANGED (the file is another than when the evaluation began),
            and what the rewriter says.
    """
    known = await shop.remembered("selections", group.base)
    if known is not None and await blocking(shop.materials.has, known, _TRAIN, _VALIDATION):
        selection = await blocking(_load, shop, known)
        await _check_unchanged(shop, group, selection)
        return selection
    opened = await blocking(shop.files.open, group.common.conversations)
    folder = "selections/" + _key(shop, group, opened.digest)
    if known not in (None, folder):
        message = (
            f"the conversations that were selected are gone ({shop.materials.location(known, CARD)}), and they cannot be "
            f"selected again: {opened.name}, or Candor, is another since. Start a new evaluation (--new)"
        )
        raise CandorError(Reason.DOCUMENT_CHANGED, message)
    if not await blocking(shop.materials.has, folder, _TRAIN, _VALIDATION):
        await _make(shop, group, opened, folder)
    await shop.remember("selections", group.base, folder)
    return await blocking(_load, shop, folder)


async def _check_unchanged(shop: Workshop, group: Group, selection: Selection) -> None:
    """A file that is gone is not needed any more; one that has changed was meant to be used."""
    try:
        opened = await blocking(shop.files.open, group.common.conversations)
    except CandorError:
        return
    if opened.digest != selection.card["source"]["digest"]:
        message = (
            f"{opened.name} has changed since this evaluation began; start a new one (--new), or put the old file back"
        )
        raise CandorError(Reason.DOCUMENT_CHANGED, message)


def _key(shop: Workshop, group: Group, source: str) -> str:
    common = group.common
    conversations = asdict(common.conversations)
    del conversations["path"], conversations["dataset"]
    items = hashlib.sha256(b"".join(sorted(item.digest() for item in shop.items))).hexdigest()
    return digest_of(
        [
            _VERSION,
            contamination.VERSION,
            source,
            conversations,
            common.size,
            group.validation_size,
            common.seed,
            items,
        ]
    )


def _load(shop: Workshop, folder: str) -> Selection:
    train = shop.materials.read(folder, _TRAIN)
    return Selection(
        folder=folder,
        location=shop.materials.location(folder, _TRAIN),
        digest="sha256:" + hashlib.sha256(train).hexdigest(),
        train=tuple(from_lines(train)),
        validation=tuple(from_lines(shop.materials.read(folder, _VALIDATION))),
        card=json.loads(shop.materials.read(folder, CARD)),
    )


async def _make(shop: Workshop, group: Group, opened: OpenedFile, folder: str) -> None:
    common = group.common
    balanced = not common.conversations.unbalanced
    train = quotas(common.size, balanced=balanced)
    held_out = quotas(group.validation_size, balanced=balanced)
    reservoir = Reservoir({name: train[name] + held_out[name] for name in train}, common.seed)
    problems = await _read(shop, common.conversations, opened, reservoir)
    if not reservoir.seen:
        why = f"; the first of {problems.count:,} bad rows: {problems.first[0].text}" if problems.count else ""
        raise bad_data(f"{opened.name} holds no conversation{why}")
    sieve = _Sieve(shop, common.conversations, reservoir, await blocking(Guard, shop.items))
    kept, training, validation = await _split(sieve, train, held_out)
    if not training:
        raise bad_data(f"no conversation of {opened.name} is left to train on: {kept.said()}")
    card = {
        "schema": 1,
        "source": {"name": opened.name, "digest": opened.digest},
        "seed": common.seed,
        "wanted": {"train": common.size, "validation": group.validation_size, "balanced": balanced},
        "conversations": sum(reservoir.seen.values()),
        "problems": {"count": problems.count, "examples": [list(each) for each in problems.first]},
        "doubled": reservoir.doubled,
        "cut_to_turns": {"turns": MAX_TURNS, "conversations": reservoir.cut},
        "categories": {
            name: {"in_file": reservoir.seen[name], "train": taken[0], "validation": taken[1]}
            for name, taken in _by_category(reservoir, training, validation).items()
        },
        "toxicity": {
            "method": kept.method,
            "threshold": common.conversations.toxicity_threshold,
            "dropped": len(kept.toxic),
            "conversations": kept.toxic[:_LISTED],
        },
        "contamination": {
            "checked_against": len(shop.items),
            "dropped": len(kept.contaminated),
            "conversations": kept.contaminated[:_LISTED],
        },
    }
    files = {_TRAIN: lines(training), _VALIDATION: lines(validation), CARD: encoded(card)}
    await blocking(shop.materials.write, folder, files)


@dataclass(slots=True)
class _Problems:
    """Bad rows: how many, and the first ones. A file that is something else altogether has millions."""

    count: int = 0
    first: list[Problem] = field(default_factory=list)

    def add(self, found: Problem) -> None:
        self.count += 1
        if len(self.first) < _EXAMPLES:
            self.first.append(found)


async def _read(shop: Workshop, ref: ConversationRef, opened: OpenedFile, reservoir: Reservoir) -> _Problems:
    problems = _Problems()
    rows = 0
    async for found in shop.rewriter.read(opened.chunks, opened.name, ref.format, MAX_TURNS):
        if isinstance(found, Problem):
            problems.add(found)
        else:
            reservoir.offer(found)
        rows += 1
        if rows % _BATCH == 0:
            shop.progress(rows, 0)
    return problems


@dataclass(slots=True)
class _Kept:
    accepted: dict[str, list[Conversation]] = field(default_factory=dict)
    toxic: list[str] = field(default_factory=list)
    contaminated: list[dict[str, str]] = field(default_factory=list)
    method: str = ""

    def said(self) -> str:
        return f"{len(self.contaminated):,} hold an evaluation item, {len(self.toxic):,} are toxic"


async def _split(
    sieve: _Sieve, train: Mapping[str, int], held_out: Mapping[str, int]
) -> tuple[_Kept, list[Conversation], list[Conversation]]:
    """What to train on, and to validate with: a prompt that training asks too is replaced while there are others."""
    wanted = {name: train[name] + held_out[name] for name in train}
    while True:
        await sieve.fill(wanted)
        training, validation = split(sieve.kept.accepted, train, held_out)
        there = Counter(stratum_of(each, train) for each in validation)
        short = {name: held_out[name] - there[name] for name in sieve.unfinished() if there[name] < held_out[name]}
        if not short:
            return sieve.kept, training, validation
        for name, count in short.items():
            wanted[name] += count


class _Sieve:
    """Goes through the sample in its seeded order: keeps what holds no evaluation item and is not toxic.

    Args:
        shop: The workshop.
        ref: How toxicity is measured.
        reservoir: The sample.
        guard: Knows the evaluation items.
    """

    def __init__(self, shop: Workshop, ref: ConversationRef, reservoir: Reservoir, guard: Guard) -> None:
        self._shop = shop
        self._ref = ref
        self._sample = reservoir.sample()
        self._place = dict.fromkeys(self._sample, 0)
        self._guard = guard
        self.kept = _Kept()

    def unfinished(self) -> list[str]:
        """Categories of which more may come."""
        return [name for name, conversations in self._sample.items() if self._place[name] < len(conversations)]

    async def fill(self, wanted: Mapping[str, int]) -> None:
        """Go on until each category has enough, or no more."""
        kept, total = self.kept, sum(wanted.values())
        for stratum, conversations in self._sample.items():
            accepted = kept.accepted.setdefault(stratum, [])
            while len(accepted) < wanted[stratum] and self._place[stratum] < len(conversations):
                place = self._place[stratum]
                some = conversations[place : place + min(_BATCH, wanted[stratum] - len(accepted))]
                self._place[stratum] += len(some)
                clean = await blocking(_clean, self._guard, some, kept)
                accepted += await self._not_toxic(clean)
                self._shop.progress(sum(map(len, kept.accepted.values())), total)

    async def _not_toxic(self, conversations: list[Conversation]) -> list[Conversation]:
        kept, ref = self.kept, self._ref
        if not conversations or ref.toxicity == "none":
            kept.method = kept.method or "none"
            return conversations
        toxic: set[int] = set()
        async for index, found in self._shop.rewriter.classify(conversations, ref.toxicity, ref.toxicity_threshold):
            if isinstance(found, CandorError):
                raise found
            kept.method = found.method
            if found.toxic:
                toxic.add(index)
        kept.toxic += [conversations[index].id for index in sorted(toxic)]
        return [each for index, each in enumerate(conversations) if index not in toxic]


def _clean(guard: Guard, conversations: Sequence[Conversation], kept: _Kept) -> list[Conversation]:
    clean = []
    for each in conversations:
        hit = guard.check(each)
        if hit is None:
            clean.append(each)
        else:
            kept.contaminated.append({"conversation": each.id, "item": f"{hit.task}/{hit.item}", "how": hit.how})
    return clean


def _by_category(
    reservoir: Reservoir, training: Sequence[Conversation], validation: Sequence[Conversation]
) -> dict[str, tuple[int, int]]:
    train, held_out = (Counter(each.category for each in part) for part in (training, validation))
    return {name: (train[name], held_out[name]) for name in sorted(reservoir.seen)}
