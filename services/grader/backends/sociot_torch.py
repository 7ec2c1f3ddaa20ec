"""The scorer on torch: any causal language model, by hub id or folder, on one machine."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass

from chassis.errors import CandorError
from services.grader.backends import sociot_load
from services.grader.backends.sociot_model import Reading, SociotModel
from services.grader.domain import sociot
from services.grader.domain.scores import Metric, MetricScore, TextScores, Unscored
from services.grader.domain.sociot import StringLoss

Outcome = TextScores | Unscored | CandorError
EMPTY_TEXT = Unscored(reason="EMPTY_TEXT", message="the text is empty: nobody said anything")
# The model's context was shorter than the string, so its end was not read.
CUT_TEXT = "cut_text"


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: SociotModel
    lock: threading.Lock


class TorchScorer:
    """Implements `ports.Scorer`.

    A text's score depends on the text alone: batches only decide what is computed together.

    Args:
        locate: Turns the model named in a request into the hub id or folder to load; raises PATH_NOT_ALLOWED.
        dtype: `float32` or `bfloat16` (faster where the processor has it; see benchmarks/RESULTS.md for its error).
        device: A torch device.
        threads: Threads of torch; 0 leaves torch's own choice.
        batch_tokens: Tokens run at once, which bounds memory: about 100 kB each with GPT-2 small.
        keep: Models kept loaded.
    """

    def __init__(
        self,
        *,
        locate: Callable[[str], str] = str,
        dtype: str = "float32",
        device: str = "cpu",
        threads: int = 0,
        batch_tokens: int = 2048,
        keep: int = 2,
    ) -> None:
        self._locate = locate
        self._dtype = dtype
        self._device = device
        self._threads = threads
        self._batch_tokens = batch_tokens
        self._keep = keep
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._loading = threading.Lock()

    def version(self) -> str:
        """See `ports.Scorer`; fp32 and bf16 differ by more than rounding, so the precision is part of it."""
        return sociot.version() if self._dtype == "float32" else f"{sociot.version()} {self._dtype}"

    async def score(
        self, texts: Sequence[str], metrics: Sequence[str], estimator: str, model: str, max_chars: int
    ) -> AsyncIterator[tuple[int, Outcome]]:
        """See `ports.Scorer`. Torch runs in a thread, one batch at a time, so that other calls are answered meanwhile."""
        source = self._locate(model)
        loaded = await asyncio.to_thread(self._load, source)
        chosen = [sociot.metrics()[name] for name in metrics]
        full = {index: text for index, text in enumerate(texts) if text.strip()}
        for index in range(len(texts)):
            if index not in full:
                yield index, EMPTY_TEXT
        phrases = sociot.phrases(chosen)
        kept = {index: sociot.excerpt(text, max_chars) for index, text in full.items()}
        for batch in await asyncio.to_thread(self._batches, loaded, kept, phrases):
            losses = await asyncio.to_thread(self._run, loaded, batch, chosen, estimator)
            for (index, readings), by_phrase in zip(batch, losses, strict=True):
                yield index, _scores(kept[index], readings, by_phrase, chosen, estimator)

    def _load(self, source: str) -> _Loaded:
        with self._loading:
            if source not in self._loaded:
                model = sociot_load.load(source, self._dtype, self._device, self._threads)
                self._loaded[source] = _Loaded(model, threading.Lock())
            self._loaded.move_to_end(source)
            while len(self._loaded) > self._keep:
                self._loaded.popitem(last=False)
            return self._loaded[source]

    def _batches(
        self, loaded: _Loaded, texts: dict[int, str], phrases: Sequence[str]
    ) -> list[list[tuple[int, dict[str, Reading]]]]:
        """Texts of similar length together, as many as the token budget holds; at least one."""
        read = dict(zip(texts, self._read(loaded, list(texts.values()), phrases), strict=True))
        order = sorted(read, key=lambda index: (max(len(r.ids) for r in read[index].values()), index))
        batches: list[list[tuple[int, dict[str, Reading]]]] = []
        for index in order:
            longest = max(len(reading.ids) for reading in read[index].values())
            if not batches or (len(batches[-1]) + 1) * len(phrases) * longest > self._batch_tokens:
                batches.append([])
            batches[-1].append((index, read[index]))
        return batches

    def _read(self, loaded: _Loaded, texts: Sequence[str], phrases: Sequence[str]) -> Iterator[dict[str, Reading]]:
        with loaded.lock:
            readings = loaded.model.read_all([(phrase, text) for text in texts for phrase in phrases])
        for start in range(0, len(readings), len(phrases)):
            yield dict(zip(phrases, readings[start : start + len(phrases)], strict=True))

    def _run(
        self,
        loaded: _Loaded,
        batch: Sequence[tuple[int, dict[str, Reading]]],
        metrics: Sequence[Metric],
        estimator: str,
    ) -> list[dict[str, StringLoss]]:
        sets = [part for metric in metrics for part in sociot.sets(metric)]
        readings: list[Reading] = []
        padding: list[int] = []
        for _, by_phrase in batch:
            lengths = {phrase: len(reading.ids) for phrase, reading in by_phrase.items()}
            needed = sociot.paddings(lengths, sets if estimator == "reference" else ())
            readings.extend(by_phrase.values())
            padding.extend(needed[phrase] for phrase in by_phrase)
        with loaded.lock:
            losses = iter(loaded.model.losses(readings, padding))
        return [{phrase: next(losses) for phrase in by_phrase} for _, by_phrase in batch]


def _scores(
    text: str,
    readings: dict[str, Reading],
    losses: dict[str, StringLoss],
    metrics: Sequence[Metric],
    estimator: str,
) -> TextScores:
    found = []
    for metric in metrics:
        plus, minus = ([losses[phrase] for phrase in part] for part in sociot.sets(metric))
        if estimator == "exact":
            value, per_token = sociot.exact(plus, minus)
            found.append(MetricScore(metric=metric.name, value=value, value_per_token=per_token))
        else:
            found.append(MetricScore(metric=metric.name, value=sociot.reference(plus, minus)))
    cut = (CUT_TEXT,) if any(reading.cut for reading in readings.values()) else ()
    return TextScores(scores=tuple(found), flags=(*sociot.flags(text), *cut))
