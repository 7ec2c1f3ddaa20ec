"""What the stages of making share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.items import Item
from services.orchestrator.domain.spec import Spec
from services.orchestrator.ports import EvaluationRow
from services.orchestrator.ports.making import ConversationFiles, Materials, Rewriter, Trainer
from services.orchestrator.service.run.identify import pin
from services.orchestrator.service.run.state import Teller
from services.orchestrator.service.world import World, blocking

CARD = "card.json"
# One call is to blame, and it would be again: it is left out and counted, the stage goes on.
OF_THE_ITEM = (Reason.OUTPUT_BUDGET, Reason.EMPTY_REPLY, Reason.BAD_REPLY, Reason.CONTEXT_TOO_LONG)


@dataclass(slots=True, kw_only=True)
class Workshop:
    """One execution's work on the arms that have to be made.

    Attributes:
        items: Of every task, to keep out of the training data.
        warnings: What a reader of the report must know.
    """

    world: World
    row: EvaluationRow
    spec: Spec
    items: Sequence[Item]
    teller: Teller
    warnings: list[str] = field(default_factory=list)

    @property
    def rewriter(self) -> Rewriter:
        """The rewriter; checked to be there."""
        assert self.world.rewriter is not None
        return self.world.rewriter

    @property
    def trainer(self) -> Trainer:
        """The trainer; checked to be there."""
        assert self.world.trainer is not None
        return self.world.trainer

    @property
    def files(self) -> ConversationFiles:
        """The conversation files."""
        assert self.world.conversations is not None
        return self.world.conversations

    @property
    def materials(self) -> Materials:
        """Where selections and datasets are kept."""
        assert self.world.materials is not None
        return self.world.materials

    def progress(self, done: int, total: int) -> None:
        """The stage has come so far."""
        self.teller.counts.stage_done = done
        self.teller.counts.stage_total = total
        self.teller.nudge()

    async def remembered(self, kind: str, name: str) -> Any:
        """What an earlier execution of this evaluation settled; None if it did not."""
        row = await blocking(self.world.ledger.evaluation, self.row.id)
        return row.pinned.get(kind, {}).get(name)

    async def remember(self, kind: str, name: str, value: Any) -> None:
        """Settle something for this evaluation."""
        row = await blocking(self.world.ledger.evaluation, self.row.id)
        await pin(self.world, self.row.id, **{kind: {**row.pinned.get(kind, {}), name: value}})


def digest_of(value: Any) -> str:
    """64 hexadecimal digits of a plain value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False, default=list).encode()).hexdigest()


def encoded(card: Any) -> bytes:
    """A card as it is stored."""
    return json.dumps(card, ensure_ascii=False, indent=1).encode()


def bad_data(message: str) -> CandorError:
    """Training data that cannot be used."""
    return CandorError(Reason.BAD_TRAINING_DATA, message)
