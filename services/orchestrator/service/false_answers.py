"""False answers that a model proposes, for a task that says so in the document.

Each reply is in the ledger as soon as it arrives, under the endpoint and the prompt, so that a model is asked once for each
question, however often the evaluation is planned, resumed or repeated. What failed is asked again by the next run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chassis.errors import CandorError
from services.orchestrator.domain import datafiles
from services.orchestrator.domain.items import Item, Task
from services.orchestrator.domain.keys import prompt_digest, response_key, subject_prefix
from services.orchestrator.domain.spec import Arm, Endpoint, Sampling, TaskRef
from services.orchestrator.domain.tasks.false_answers import replaced
from services.orchestrator.ports import Prompt, ResponseRow
from services.orchestrator.service.rows import outcome_row
from services.orchestrator.service.run.batcher import Batcher
from services.orchestrator.service.world import World, blocking

_LONGEST = 80
_BATCH = 256
_SAMPLING = Sampling(temperature=0.0, max_tokens=64)
_PROMPT = "false_answer_prompt.txt"
_SCOPE = "false answers"  # no scope of an arm: those are empty or have a `/`


async def with_false_answers(world: World, ref: TaskRef, task: Task, *, ask: bool) -> Task:
    """The task with the proposals that there are; those that are missing are asked for if `ask` says so.

    Items keep their own false answer where the model fails to propose one that fits.

    Raises:
        CandorError: The model cannot be reached or is not known; or calls failed that may succeed later, and failed for the
            first time: a call that fails in the next run too blocks nothing.
    """
    if ref.false_answers is None:
        return task
    keys = _keys(ref.false_answers, task)
    stored = await blocking(world.ledger.responses, list(keys))
    if ask and (missing := {key: item for key, item in keys.items() if key not in stored or stored[key].error_reason}):
        await _propose(world, ref.false_answers, task.name, missing, stored)
        stored = await blocking(world.ledger.responses, list(keys))
    if not stored:
        return task
    values = {item.key: value for key, item in keys.items() if key in stored and (value := cleaned(stored[key].text))}
    return replaced(task, values, f"the model {ref.false_answers.model}")


def _keys(endpoint: Endpoint, task: Task) -> dict[bytes, Item]:
    """The items to ask about by the key of their reply. What opens the endpoint plays no part in it."""
    prefix = subject_prefix(f"{endpoint.model} at {endpoint.base_url}", _SAMPLING, _SCOPE)
    return {
        response_key(prefix, prompt_digest(item.id.encode(), _prompt(item).messages), 0): item
        for item in task.items
        if item.gold and not item.messages
    }


async def _propose(
    world: World, endpoint: Endpoint, task: str, missing: Mapping[bytes, Item], stored: Mapping[bytes, ResponseRow]
) -> None:
    """Ask about the missing items, and store what comes as it comes."""
    arm = Arm(name="false_answers", source=endpoint, sampling=_SAMPLING)
    identity = await world.inference.describe(arm)
    check = await world.inference.check(arm, _SAMPLING)

    async def store(rows: list[ResponseRow]) -> None:
        await blocking(world.ledger.put_responses, rows)

    limits = world.limits
    writer: Batcher[ResponseRow] = Batcher(store, size=limits.commit_items, seconds=limits.commit_seconds)
    keys = list(missing)
    try:
        for start in range(0, len(keys), _BATCH):
            part = keys[start : start + _BATCH]
            prompts = [_prompt(missing[key]) for key in part]
            failed: list[CandorError] = []
            async for index, outcome in world.inference.generate(arm, check.sampling, identity.digest, prompts):
                key = part[index]
                writer.put(outcome_row(_SCOPE, key, "", outcome, world.clock()))
                if isinstance(outcome, CandorError) and outcome.retryable and key not in stored:
                    failed.append(outcome)
            if failed:
                raise _failure(task, failed, len(part))
    finally:
        await writer.close(flush=True)


def _failure(task: str, failed: Sequence[CandorError], asked: int) -> CandorError:
    last = failed[-1]
    message = (
        f"false answers of {task}: {len(failed)} of {asked} calls failed: {last.message}; the same command asks for what "
        "is missing"
    )
    return CandorError(last.reason, message, metadata=last.metadata)


def _prompt(item: Item) -> Prompt:
    instruction = datafiles.read(_PROMPT).decode().strip()
    text = f"{instruction}\n\nQuestion: {item.question}\nRight answer: {item.gold[0]}\nWrong answer:"
    return Prompt(messages=(("user", text),), seed=0)


def cleaned(text: str) -> str:
    """A proposal as a bare answer: its first line without label, quotation marks and full stop; empty when too long."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    value = lines[0] if lines else ""
    if value.lower().startswith("wrong answer:"):
        value = value[len("wrong answer:") :]
    value = value.strip().strip("\"'“”‘’«»*").removesuffix(".").strip()
    return value if len(value) <= _LONGEST else ""
