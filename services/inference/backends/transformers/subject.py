"""A checkpoint that answers: conversations to tokens, batches to the worker thread, tokens to replies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from threading import Event

from chassis.errors import CandorError, Reason
from chassis.llm.reasoning import split_reasoning
from chassis.text import plain
from services.inference.backends.transformers.adapters import AdapterFolder
from services.inference.backends.transformers.base import Base
from services.inference.backends.transformers.engine import Finished, Row, TooLargeError
from services.inference.backends.transformers.loading import Loaded
from services.inference.domain.identity import Identity
from services.inference.domain.liveness import PROBES, ROUNDS, Liveness, judge
from services.inference.domain.model import Check, Prompt, Reply, Sampling, Usage, conversation

_PROBE = Prompt(messages=(("user", "Say the word ready."),))
_PROBE_TOKENS = 4

Outcome = Reply | CandorError


@dataclass(slots=True, kw_only=True)
class CheckpointSubject:
    """Implements `ports.Subject`.

    Attributes:
        name: Reported as the model's name.
        base: Holds the base in memory while it is in use; loads it if need be.
        adapter: Applied to the base for this subject's rows; None for the base itself.
    """

    identity: Identity
    name: str
    system_text: str
    base: Callable[[], AbstractAsyncContextManager[Base]]
    batch_rows: int
    adapter: AdapterFolder | None = None

    async def check(self, sampling: Sampling) -> Check:
        """See ports. A checkpoint refuses no parameter; loading it and a few tokens show that it runs."""
        few = replace(sampling, max_tokens=min(sampling.max_tokens, _PROBE_TOKENS))
        async for _, outcome in self.generate([_PROBE], few):
            harmless = (Reason.EMPTY_REPLY, Reason.OUTPUT_BUDGET)  # so few tokens need not make a text
            if isinstance(outcome, CandorError) and outcome.reason not in harmless:
                raise outcome
        liveness = await self._liveness() if self.adapter else None
        return Check(sampling=replace(sampling, omit=()), reported_model=self.name, liveness=liveness)

    async def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> AsyncGenerator[tuple[int, Outcome]]:
        """See ports."""
        async with self.base() as base, aclosing(self._generate(base, prompts, sampling)) as outcomes:
            async for index, outcome in outcomes:
                yield index, outcome

    async def close(self) -> None:
        """See ports: the base is the backend's."""

    async def _generate(
        self, base: Base, prompts: Sequence[Prompt], sampling: Sampling
    ) -> AsyncGenerator[tuple[int, Outcome]]:
        loop = asyncio.get_running_loop()
        rows, refused = await loop.run_in_executor(base.worker, self._rows, base.loaded, prompts, sampling)
        for index, error in refused:
            yield index, error
        waiting = {row.index: row for row in rows}
        size = self.batch_rows
        while waiting:
            batch = list(waiting.values())[:size]
            try:
                async with aclosing(self._batch(base, batch, sampling)) as finished:
                    async for done in finished:
                        row = waiting.pop(done.index)
                        yield done.index, self._outcome(base.loaded, done, len(row.tokens), sampling)
            except TooLargeError:
                # Rows draw from streams of their own, so those that are asked again reply the same.
                if len(batch) == 1:
                    (row,) = batch
                    del waiting[row.index]
                    yield row.index, _too_large(row)
                size = max(1, len(batch) // 2)

    async def _liveness(self) -> Liveness:
        def probe(base: Base) -> Liveness:
            texts = [tokenize(base.loaded, probe) for probe in PROBES]
            pairs = [[base.logprobs(who, texts) for who in (None, self.adapter)] for _ in range(ROUNDS)]
            return judge(*zip(*pairs, strict=True))

        async with self.base() as base:
            return await asyncio.get_running_loop().run_in_executor(base.worker, probe, base)

    async def _batch(self, base: Base, rows: Sequence[Row], sampling: Sampling) -> AsyncGenerator[Finished]:
        """One batch in the worker; other requests' batches get their turn in between."""
        loop = asyncio.get_running_loop()
        stop = Event()
        done: asyncio.Queue[Finished | None] = asyncio.Queue()

        def emit(finished: Finished) -> None:
            loop.call_soon_threadsafe(done.put_nowait, finished)

        work = loop.run_in_executor(
            base.worker, base.run, self.adapter, rows, sampling.temperature, sampling.top_p, emit, stop
        )
        work.add_done_callback(lambda _: done.put_nowait(None))
        try:
            while (finished := await done.get()) is not None:
                yield finished
            await work
        finally:
            stop.set()
            await asyncio.wait([work])

    def _rows(
        self, loaded: Loaded, prompts: Sequence[Prompt], sampling: Sampling
    ) -> tuple[list[Row], list[tuple[int, CandorError]]]:
        """Tokenized prompts by length (so that batches pad little), and those that cannot be asked. In the worker."""
        rows, refused = [], []
        for index, prompt in enumerate(prompts):
            try:
                rows.append(self._row(loaded, index, prompt, sampling))
            except CandorError as error:
                refused.append((index, error))
        return sorted(rows, key=lambda row: (len(row.tokens), row.index)), refused

    def _row(self, loaded: Loaded, index: int, prompt: Prompt, sampling: Sampling) -> Row:
        tokens = tokenize(loaded, conversation(prompt, self.system_text), ask=True)
        room = loaded.longest - len(tokens)
        if room < 1 or not tokens:
            message = f"the prompt has {len(tokens)} tokens; the model takes {loaded.longest} with its reply"
            raise CandorError(Reason.CONTEXT_TOO_LONG, message)
        seed = prompt.seed if prompt.seed is not None else sampling.seed or 0
        return Row(index=index, tokens=tokens, seed=seed, max_new_tokens=min(sampling.max_tokens, room))

    def _outcome(self, loaded: Loaded, done: Finished, prompt_tokens: int, sampling: Sampling) -> Outcome:
        raw = loaded.tokenizer.decode(done.tokens, skip_special_tokens=True)
        # Bytes at the cut that are no whole character are no text; vLLM leaves them out as well.
        text, reasoning = split_reasoning(raw.rstrip("\N{REPLACEMENT CHARACTER}"))
        if not text.strip():
            if done.ended:
                return CandorError(Reason.EMPTY_REPLY, "the model ended its reply without text")
            message = f"no text within max_tokens={sampling.max_tokens}; raise sampling.max_tokens"
            return CandorError(Reason.OUTPUT_BUDGET, message)
        return Reply(
            text=text,
            finish_reason="stop" if done.ended else "length",
            reasoning=reasoning,
            usage=Usage(prompt_tokens=prompt_tokens, completion_tokens=done.counted),
            latency_seconds=done.seconds,
            reported_model=self.name,
        )


def tokenize(loaded: Loaded, turns: Sequence[tuple[str, str]], *, ask: bool = False) -> list[int]:
    """A conversation's tokens; `ask`: with the opening of a reply. Raises CandorError BAD_CHECKPOINT."""
    from jinja2 import TemplateError

    said = [{"role": role, "content": text} for role, text in turns]
    try:
        text = loaded.tokenizer.apply_chat_template(said, add_generation_prompt=ask, tokenize=False)
    except TemplateError as error:
        message = f"the checkpoint's chat template refuses this conversation: {plain(str(error))}"
        raise CandorError(Reason.BAD_CHECKPOINT, message) from error
    # The template writes the special tokens itself.
    tokens: list[int] = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    return tokens


def _too_large(row: Row) -> CandorError:
    message = f"a prompt of {len(row.tokens)} tokens does not fit into the device's memory; take a larger one"
    return CandorError(Reason.CONTEXT_TOO_LONG, message)
