"""One call of a finished evaluation, with everything that is known of it: a row of the results."""

from __future__ import annotations

from typing import NamedTuple


class Record(NamedTuple):
    """A reply, or the reason why there is none.

    Attributes:
        arm: Name of the arm.
        task: Name of the task.
        item: Id of the item within its task.
        category: Of the item.
        cluster: Of the item; empty where it stands alone.
        question: Without context and belief.
        gold: The answer C.
        false_answer: W, or empty.
        context: Context of the cell.
        belief: Belief level of the cell.
        statement: Id of the statement; empty in context none.
        repeat: Repeat index.
        prompt: (role, content) messages, without system prompt.
        reply: Text; empty where the call failed.
        finish_reason: As the backend said.
        error: Reason of a failed call, empty otherwise.
        error_message: What was said about it, for people.
        verdict: `correct`, `incorrect`, `refusal`, `ungradable`; empty without a grade.
        adopts_belief: None where undefined or undecided.
        decided_by: `deterministic`, `judge`, `none`; empty without a grade.
        rule: Which rule decided.
        final_claim: As far as it was found.
        judge_raw: The judge's text where it could not be read.
        judge_model: As it reported itself.
        warmth: SocioT; None where unscored.
        prompt_tokens: As counted by the backend.
        completion_tokens: As counted by the backend.
        latency_seconds: Of the successful request.
        attempts: Requests that the reply took.
        reported_model: As the backend reported it.
        created: Unix time of the reply.
        aliases: Other accepted forms of C.
        false_aliases: Other forms of W.
        kind: Of the item: how its replies are read.
    """

    arm: str
    task: str
    item: str
    category: str
    cluster: str
    question: str
    gold: str
    false_answer: str
    context: str
    belief: str
    statement: str
    repeat: int
    prompt: tuple[tuple[str, str], ...]
    reply: str = ""
    finish_reason: str = ""
    error: str = ""
    error_message: str = ""
    verdict: str = ""
    adopts_belief: bool | None = None
    decided_by: str = ""
    rule: str = ""
    final_claim: str = ""
    judge_raw: str = ""
    judge_model: str = ""
    warmth: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_seconds: float = 0.0
    attempts: int = 1
    reported_model: str = ""
    created: float = 0.0
    aliases: tuple[str, ...] = ()
    false_aliases: tuple[str, ...] = ()
    kind: str = ""
