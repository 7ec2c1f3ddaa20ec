"""A causal language model that reads `{phrase}, "{text}"` strings and says how surprised it is by each token.

What makes it fast is what it leaves out: the tokens of a phrase are run once and kept as keys and values, the last token
of a string is never run unless a padded position follows it, and the logits of the vocabulary are never stored. Whether
a model allows these short cuts is tried when it is loaded; one that does not is read the plain way.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from services.grader.backends.sociot_head import token_losses
from services.grader.domain import sociot
from services.grader.domain.sociot import StringLoss

if TYPE_CHECKING:
    import torch

# Token id of padding: the published code pads with 0 and lets the padded positions count.
PAD = 0
# What a model's inside must take for the short cuts to be tried at all.
_NEEDED = {"input_ids", "attention_mask", "position_ids", "past_key_values", "use_cache"}
# Strings tokenised at once, which bounds memory.
_STRINGS = 1024
_PROBE = "I am glad that you came; sit down."
# Largest difference of a token's loss between the plain and the short way, nats.
_TOLERANCE = {"torch.float32": 1e-3, "torch.bfloat16": 0.5}


@dataclass(frozen=True, slots=True)
class Reading:
    """One string to read.

    Attributes:
        phrase: Its speaker phrase.
        ids: All its token ids.
        scored_from: Index of the first token after the phrase's comma.
        cut: Whether the model's context cut it.
    """

    phrase: str
    ids: tuple[int, ...]
    scored_from: int
    cut: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """A reading as it is run: `prefix` is the row of its phrase in the prefix cache, or None where all of it is run."""

    reading: Reading
    prefix: int | None
    ids: tuple[int, ...]
    padding: int


class _Prefixes:
    """Keys, values and losses of the phrases, run once."""

    def __init__(self, reader: SociotModel, phrases: Sequence[str]) -> None:
        self.ids = [reader.encode_prefix(phrase) for phrase in phrases]
        self.rows = {phrase: row for row, phrase in enumerate(phrases)}
        self.width = max(map(len, self.ids))
        ids, self.mask, positions = reader.rectangle(self.ids, left=True)
        output = reader.base(input_ids=ids, attention_mask=self.mask, position_ids=positions, use_cache=True)
        self.cache = output.past_key_values
        self.last = output.last_hidden_state[:, -1]
        hidden = output.last_hidden_state[:, :-1].flatten(0, 1)
        losses = reader.head(hidden, ids[:, 1:].flatten()).view(len(phrases), -1)
        known = (self.mask[:, :-1] * self.mask[:, 1:]).double()
        self.losses: list[float] = (losses.double() * known).sum(dim=1).tolist()

    def select(self, rows: torch.Tensor) -> Any:
        """The cache with one row for each string of a batch."""
        cache = copy.deepcopy(self.cache)
        cache.batch_select_indices(rows)
        return cache


class SociotModel:
    """A loaded scorer. Not thread-safe: one caller at a time.

    Attributes:
        model: The causal LM, in eval mode.
        base: The same without its output layer.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        import torch

        self.model = model.eval()
        self.base = model.base_model
        self._tokenizer = tokenizer
        self._device = next(model.parameters()).device
        self._tolerance = _TOLERANCE[str(next(model.parameters()).dtype)]
        output = model.get_output_embeddings()
        self._output = output
        config = model.config
        self._context = getattr(config, "max_position_embeddings", None) or 2**31
        self._prefixes: _Prefixes | None = None
        takes = inspect.signature(self.base.forward).parameters
        if output is not None and self.base is not model and takes.keys() >= _NEEDED:
            with torch.inference_mode():
                self._prefixes = _Prefixes(self, sociot.phrases(sociot.metrics().values()))
            if not self._agrees():
                self._prefixes = None

    @property
    def short_cut(self) -> bool:
        """Whether the model allows the short cuts."""
        return self._prefixes is not None

    def read(self, phrase: str, text: str) -> Reading:
        """Tokenise one string as the published code does: whole, so that no token boundary is forced."""
        return self.read_all([(phrase, text)])[0]

    def read_all(self, pairs: Sequence[tuple[str, str]]) -> list[Reading]:
        """As `read`, for many (phrase, text) pairs at once."""
        readings = []
        for start in range(0, len(pairs), _STRINGS):
            part = pairs[start : start + _STRINGS]
            strings = [sociot.string(phrase, text) for phrase, text in part]
            encoded = self._tokenizer(strings, return_offsets_mapping=True)
            for (phrase, _), ids, offsets in zip(part, encoded["input_ids"], encoded["offset_mapping"], strict=True):
                comma = next(i for i, (first, end) in enumerate(offsets) if first <= len(phrase) < end)
                cut = len(ids) > self._context
                readings.append(Reading(phrase, tuple(ids[: self._context]), comma + 1, cut))
        return readings

    def losses(self, readings: Sequence[Reading], padding: Sequence[int]) -> list[StringLoss]:
        """Losses of a batch.

        Args:
            readings: The strings; best of similar length.
            padding: Padded positions whose loss is wanted, for each string.
        """
        import torch

        rows = [self._row(reading, count) for reading, count in zip(readings, padding, strict=True)]
        with torch.inference_mode():
            found = self._short_way(rows) if self._prefixes else self._plain_way(rows)
        return [self._summed(row, losses) for row, losses in zip(rows, found, strict=True)]

    def encode_prefix(self, phrase: str) -> list[int]:
        """Token ids of the phrase with its comma."""
        return list(self._tokenizer(f"{phrase},")["input_ids"])

    def rectangle(
        self, rows: Sequence[Sequence[int]], *, left: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Ids padded to the longest, their mask, and positions from 0 at the first real token; each (rows, longest)."""
        import torch

        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), PAD)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for index, row in enumerate(rows):
            place = slice(longest - len(row), longest) if left else slice(0, len(row))
            ids[index, place] = torch.tensor(row, dtype=torch.long)
            mask[index, place] = 1
        positions = torch.arange(longest).expand_as(ids)
        if left:
            positions = (positions - (longest - mask.sum(dim=1, keepdim=True))).clamp(min=0)
        return ids.to(self._device), mask.to(self._device), positions.to(self._device)

    def head(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of each target from its hidden state."""
        return token_losses(hidden, targets, self._output.weight, getattr(self._output, "bias", None))

    def _row(self, reading: Reading, padding: int) -> _Row:
        if self._prefixes:
            index = self._prefixes.rows.get(reading.phrase)
            if index is not None:
                prefix = self._prefixes.ids[index]
                # A tokenizer may merge the comma with what follows; such a string is run whole.
                if reading.scored_from == len(prefix) and list(reading.ids[: len(prefix)]) == prefix:
                    return _Row(reading, index, reading.ids[len(prefix) :], padding)
        return _Row(reading, None, reading.ids, padding)

    def _short_way(self, rows: Sequence[_Row]) -> list[list[float]]:
        import torch

        prefixes = self._prefixes
        assert prefixes is not None
        run = [_inputs(row) for row in rows]
        ids, mask, positions = self.rectangle(run)
        # Padded keys are never attended to, as with attention_mask 0 in the published code.
        for index, row in enumerate(rows):
            mask[index, len(row.ids) :] = 0
        chosen = torch.tensor([row.prefix or 0 for row in rows], device=self._device)
        has_prefix = torch.tensor([row.prefix is not None for row in rows], device=self._device)
        prefix_mask = prefixes.mask[chosen] * has_prefix[:, None]
        hidden = self.base(
            input_ids=ids,
            attention_mask=torch.cat([prefix_mask, mask], dim=1),
            # Columns past a row's own end are computed and dropped; they must not ask for a position that does not exist.
            position_ids=(positions + prefix_mask.sum(dim=1, keepdim=True)).clamp(max=self._context - 1),
            past_key_values=prefixes.select(chosen),
            use_cache=True,
        ).last_hidden_state
        states, targets = [], []
        for index, row in enumerate(rows):
            if row.prefix is not None:
                states.append(prefixes.last[row.prefix][None])
            states.append(hidden[index, : len(run[index])])
            targets.append(_targets(row))
        losses = self.head(torch.cat(states), torch.tensor([*chain(*targets)], device=self._device)).tolist()
        return _split(losses, [len(part) for part in targets])

    def _plain_way(self, rows: Sequence[_Row]) -> list[list[float]]:
        import torch

        run = [_inputs(row) for row in rows]
        ids, mask, _ = self.rectangle(run)
        for index, row in enumerate(rows):
            mask[index, len(row.ids) :] = 0
        logits = self.model(input_ids=ids, attention_mask=mask).logits
        found = []
        for index, row in enumerate(rows):
            targets = torch.tensor(_targets(row), device=self._device)
            own = logits[index, : len(targets)].float()
            found.append(torch.nn.functional.cross_entropy(own, targets, reduction="none").tolist())
        return found

    def _summed(self, row: _Row, losses: Sequence[float]) -> StringLoss:
        reading = row.reading
        real = losses[: len(losses) - row.padding]
        if row.prefix is None:
            # The first token of a string is never predicted, so loss i belongs to token i + 1.
            scored, before = real[reading.scored_from - 1 :], math.fsum(real[: reading.scored_from - 1])
        else:
            assert self._prefixes is not None
            scored, before = real, self._prefixes.losses[row.prefix]
        return StringLoss(
            tokens=len(reading.ids),
            loss=before + math.fsum(scored),
            scored_loss=math.fsum(scored),
            scored_tokens=len(scored),
            padding=tuple(losses[len(real) :]),
        )

    def _agrees(self) -> bool:
        """Whether the short way reads a probe as the plain way does; output layers that scale or cap logits do not."""
        import torch

        readings = [self.read(phrase, text) for phrase in self._first_phrases() for text in (_PROBE, _PROBE[:9])]
        rows = [self._row(reading, 2) for reading in readings]
        whole = [_Row(reading, None, reading.ids, 2) for reading in readings]
        with torch.inference_mode():
            short, plain = self._short_way(rows), self._plain_way(whole)
        return all(
            abs(ours - theirs) <= self._tolerance
            for a, b in zip(short, plain, strict=True)
            for ours, theirs in zip(reversed(a), reversed(b), strict=False)
        )

    def _first_phrases(self) -> list[str]:
        assert self._prefixes is not None
        return list(self._prefixes.rows)[:2]


def _inputs(row: _Row) -> list[int]:
    """Ids to run: all but the last token, which is run only where a padded position follows it."""
    return list(row.ids[:-1]) if row.padding == 0 else [*row.ids, *[PAD] * (row.padding - 1)]


def _targets(row: _Row) -> list[int]:
    own = row.ids if row.prefix is not None else row.ids[1:]
    return [*own, *[PAD] * row.padding]


def _split(values: Sequence[float], counts: Sequence[int]) -> list[list[float]]:
    found, start = [], 0
    for count in counts:
        found.append(list(values[start : start + count]))
        start += count
    return found
