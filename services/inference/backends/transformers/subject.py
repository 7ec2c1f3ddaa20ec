"""A checkpoint that answers: conversations to tokens, batches to the worker thread, tokens to replies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from threading import Event

from chassis.errors import CandorError, Reason
from chassis.llm.reasoning import split_reasoning
from chassis.text import plain
from services.inference.backends.transformers.engine import Finished, Row, TooLargeError
from services.inference.backends.transformers.loading import Loaded
from services.inference.domain.identity import Identity
from services.inference.domain.model import Check, Prompt, Reply, Sampling, Usage, conversation

_PROBE = Prompt(messages=(("user", "Say the word ready."),))
_PROBE_TOKENS = 4

Outcome = Reply | CandorError


@dataclass(slots=True, kw_only=True)
class CheckpointSubject:
    """Implements `ports.Subject`.

    Attributes:
        name: Reported as the model's name.
        load: Reads the weights; called once, in the worker.
        worker: The one thread that computes.
    """

    identity: Identity
    name: str
    system_text: str
    load: Callable[[], Loaded]
    worker: ThreadPoolExecutor
    batch_rows: int
    _loaded: Loaded | None = field(default=None, init=False)

    async def check(self, sampling: Sampling) -> Check:
        """See ports. A checkpoint refuses no parameter; loading it and a few tokens show that it runs."""
        few = replace(sampling, max_tokens=min(sampling.max_tokens, _PROBE_TOKENS))
        async for _, outcome in self.generate([_PROBE], few):
            harmless = (Reason.EMPTY_REPLY, Reason.OUTPUT_BUDGET)  # so few tokens need not make a text
            if isinstance(outcome, CandorError) and outcome.reason not in harmless:
                raise outcome
        return Check(sampling=replace(sampling, omit=()), reported_model=self.name)

    async def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> AsyncGenerator[tuple[int, Outcome]]:
        """See ports."""
        loop = asyncio.get_running_loop()
        rows, refused = await loop.run_in_executor(self.worker, self._rows, prompts, sampling)
        for index, error in refused:
            yield index, error
        waiting = {row.index: row for row in rows}
        size = self.batch_rows
        while waiting:
            batch = list(waiting.values())[:size]
            try:
                async with aclosing(self._batch(batch, sampling)) as finished:
                    async for done in finished:
                        row = waiting.pop(done.index)
                        yield done.index, self._outcome(done, len(row.tokens), sampling)
            except TooLargeError:
                # Rows draw from streams of their own, so those that are asked again reply the same.
                if len(batch) == 1:
                    (row,) = batch
                    del waiting[row.index]
                    yield row.index, _too_large(row)
                size = max(1, len(batch) // 2)

    async def close(self) -> None:
        """See ports: let go of the weights."""
        self._loaded = None

    async def _batch(self, rows: Sequence[Row], sampling: Sampling) -> AsyncGenerator[Finished]:
        """One batch in the worker; other requests' batches get their turn in between."""
        assert self._loaded is not None, "tokenizing has loaded it"
        loop = asyncio.get_running_loop()
        stop = Event()
        done: asyncio.Queue[Finished | None] = asyncio.Queue()

        def emit(finished: Finished) -> None:
            loop.call_soon_threadsafe(done.put_nowait, finished)

        work = loop.run_in_executor(
            self.worker, self._loaded.engine.run, rows, sampling.temperature, sampling.top_p, emit, stop
        )
        work.add_done_callback(lambda _: done.put_nowait(None))
        try:
            while (finished := await done.get()) is not None:
                yield finished
            await work
        finally:
            stop.set()
            await asyncio.wait([work])

    def _rows(self, prompts: Sequence[Prompt], sampling: Sampling) -> tuple[list[Row], list[tuple[int, CandorError]]]:
        """Tokenized prompts by length (so that batches pad little), and those that cannot be asked. In the worker."""
        if self._loaded is None:
            self._loaded = self.load()
        rows, refused = [], []
        for index, prompt in enumerate(prompts):
            try:
                rows.append(self._row(self._loaded, index, prompt, sampling))
            except CandorError as error:
                refused.append((index, error))
        return sorted(rows, key=lambda row: (len(row.tokens), row.index)), refused

    def _row(self, loaded: Loaded, index: int, prompt: Prompt, sampling: Sampling) -> Row:
        from jinja2 import TemplateError

        turns = [{"role": role, "content": text} for role, text in conversation(prompt, self.system_text)]
        try:
            text = loaded.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        except TemplateError as error:
            message = f"the checkpoint's chat template refuses this conversation: {plain(str(error))}"
            raise CandorError(Reason.BAD_CHECKPOINT, message) from error
        # The template writes the special tokens itself.
        tokens = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
        room = loaded.longest - len(tokens)
        if room < 1 or not tokens:
            message = f"the prompt has {len(tokens)} tokens; the model takes {loaded.longest} with its reply"
            raise CandorError(Reason.CONTEXT_TOO_LONG, message)
        seed = prompt.seed if prompt.seed is not None else sampling.seed or 0
        return Row(index=index, tokens=tokens, seed=seed, max_new_tokens=min(sampling.max_tokens, room))

    def _outcome(self, done: Finished, prompt_tokens: int, sampling: Sampling) -> Outcome:
        assert self._loaded is not None, "it has just answered"
        raw = self._loaded.tokenizer.decode(done.tokens, skip_special_tokens=True)
        text, reasoning = split_reasoning(raw)
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


def _too_large(row: Row) -> CandorError:
    message = f"a prompt of {len(row.tokens)} tokens does not fit into the device's memory; take a larger one"
    return CandorError(Reason.CONTEXT_TOO_LONG, message)
