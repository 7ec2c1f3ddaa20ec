"""False answers that a model proposes, for a task that says so in the document.

Proposals are stored under the digest of the task, the endpoint and the prompt, so that a model is asked once for each item,
however often the evaluation is planned, resumed or repeated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from services.orchestrator.domain import datafiles
from services.orchestrator.domain.items import Item, Task
from services.orchestrator.domain.spec import Arm, Endpoint, Sampling, TaskRef
from services.orchestrator.domain.tasks.false_answers import replaced
from services.orchestrator.ports import Prompt, Reply
from services.orchestrator.service.world import World, blocking

_LONGEST = 80
_BATCH = 256
_SAMPLING = Sampling(temperature=0.0, max_tokens=64)
_PROMPT = "false_answer_prompt.txt"


async def with_false_answers(world: World, ref: TaskRef, task: Task, *, ask: bool) -> Task:
    """The task with the proposals that there are; those that are missing are asked for if `ask` says so.

    Items keep their own false answer where the model fails to propose one that fits.

    Raises:
        CandorError: The model cannot be reached or is not known.
    """
    if ref.false_answers is None:
        return task
    key = _key(ref.false_answers, task)
    stored = await blocking(world.ledger.dataset, key)
    known: dict[str, str] = json.loads(stored[1]) if stored else {}
    if not stored:
        if not ask:
            return task
        known = await _propose(world, ref.false_answers, task)
        data = json.dumps(known, ensure_ascii=False, sort_keys=True).encode()
        await blocking(world.ledger.put_dataset, key, "false_answers.json", data)
    values: Mapping[tuple[str, str], str] = {(task.name, item_id): value for item_id, value in known.items()}
    return replaced(task, values, f"the model {ref.false_answers.model}")


def _key(endpoint: Endpoint, task: Task) -> str:
    where = json.dumps(asdict(endpoint), sort_keys=True).encode()
    return datafiles.digest(b"false answers", datafiles.read(_PROMPT), where, task.digest.encode())


async def _propose(world: World, endpoint: Endpoint, task: Task) -> dict[str, str]:
    """Proposals by item id; an item whose call failed has none."""
    arm = Arm(name="false_answers", source=endpoint, sampling=_SAMPLING)
    identity = await world.inference.describe(arm)
    check = await world.inference.check(arm, _SAMPLING)
    items = [item for item in task.items if item.gold and not item.messages]
    found: dict[str, str] = {}
    for start in range(0, len(items), _BATCH):
        part = items[start : start + _BATCH]
        prompts = [_prompt(item) for item in part]
        async for index, outcome in world.inference.generate(arm, check.sampling, identity.digest, prompts):
            if isinstance(outcome, Reply) and (value := cleaned(outcome.text)):
                found[part[index].id] = value
    return found


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
