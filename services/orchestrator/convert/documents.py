"""Documents: protos -> domain values with their defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import FieldViolation, Reason, invalid
from services.orchestrator.convert.models import endpoint_from_proto, prices_from_proto, sampling_from
from services.orchestrator.convert.recipes import sft_from_proto
from services.orchestrator.domain import spec as d
from services.orchestrator.domain.conditions import BELIEFS

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def spec_from_proto(message: evaluation_pb2.EvaluationSpec) -> d.Spec:
    """The document with its defaults resolved.

    Raises:
        CandorError: A field that has no domain form (an arm without a source, `system_prompt.file` on a server).
    """
    problems: list[FieldViolation] = []
    base = sampling_from(message.sampling, d.Sampling())
    served = frozenset(name for name, arm in message.arms.items() if arm.WhichOneof("source") == "endpoint")
    arms = {name: _arm(name, arm, base, served, problems) for name, arm in sorted(message.arms.items())}
    if problems:
        raise invalid("the document has bad fields", problems, Reason.BAD_DOCUMENT)
    gate = _gate(message, arms)
    candidates = " and ".join(gate.candidates) or ", ".join(arms)
    return d.Spec(
        name=message.name or f"{candidates} against {message.baseline}",
        arms=arms,
        baseline=message.baseline,
        tasks=tuple(_task(task) for task in message.tasks) or (d.TaskRef(name="core"),),
        contexts=tuple(message.conditions.contexts) or _when(bool(message.conditions.beliefs), ("none",)),
        beliefs=tuple(message.conditions.beliefs) or _when(bool(message.conditions.contexts), BELIEFS),
        repeats=message.repeats if message.HasField("repeats") else 1,
        seed=base.seed,
        judge=_judge(message.grading),
        refusal_profile=message.grading.refusal_profile or "candor",
        warmth=_warmth(message),
        gate=gate,
        contrasts=tuple(d.Contrast(name=c.name, treated=c.treated, reference=c.reference) for c in message.contrasts),
        planning=_planning(message.planning),
    )


def _when(condition: bool, value: tuple[str, ...]) -> tuple[str, ...] | None:
    return value if condition else None


def _arm(
    name: str,
    message: evaluation_pb2.Arm,
    base: d.Sampling,
    served: frozenset[str],
    problems: list[FieldViolation],
) -> d.Arm:
    source: d.Endpoint | d.Checkpoint | d.Sft = endpoint_from_proto(message.endpoint)
    kind = message.WhichOneof("source")
    if kind is None:
        problems.append(FieldViolation(f"arms.{name}", "set endpoint, checkpoint or sft"))
    elif kind == "checkpoint":
        source = d.Checkpoint(path=message.checkpoint.path, adapter=message.checkpoint.adapter)
    elif kind == "sft":
        provider = message.sft.base in served
        source = sft_from_proto(f"arms.{name}.sft", message.sft, problems, provider=provider)
    system_prompt = None
    if message.HasField("system_prompt"):
        if message.system_prompt.WhichOneof("source") == "file":
            problems.append(FieldViolation(f"arms.{name}.system_prompt.file", "is read by the client; send text"))
        system_prompt = d.SystemPrompt(text=message.system_prompt.text, builtin=message.system_prompt.builtin)
    reuse = None
    if message.HasField("reuse"):
        reuse = _age(message.reuse.max_age)
    return d.Arm(
        name=name,
        source=source,
        system_prompt=system_prompt,
        sampling=sampling_from(message.sampling, base) if message.HasField("sampling") else base,
        own_sampling=message.HasField("sampling"),
        revision=message.revision,
        reuse_seconds=reuse,
        prices=prices_from_proto(message.prices) if message.HasField("prices") else None,
    )


def _age(text: str) -> float:
    """Seconds of `7d`; 0 when it cannot be read, which validation then names."""
    match = _AGE.fullmatch(text.strip())
    return float(match[1]) * _SECONDS[match[2]] if match else 0.0


def _task(message: evaluation_pb2.TaskSource) -> d.TaskRef:
    source = endpoint_from_proto(message.false_answers.endpoint) if message.HasField("false_answers") else None
    return d.TaskRef(
        name=message.name,
        hub=message.hub,
        path=message.path,
        dataset=message.dataset,
        false_answers=source,
        items=message.items if message.HasField("items") else None,
    )


def _judge(message: evaluation_pb2.Grading) -> d.Judge | None:
    if not message.HasField("judge"):
        return None
    return judge_from_proto(message.judge)


def judge_from_proto(judge: evaluation_pb2.JudgeSource) -> d.Judge:
    """A judge with its defaults."""
    return d.Judge(
        endpoint=endpoint_from_proto(judge.endpoint),
        max_tokens=judge.max_tokens if judge.HasField("max_tokens") else 300,
        allow_subject_as_judge=judge.allow_subject_as_judge,
        prices=prices_from_proto(judge.prices) if judge.HasField("prices") else None,
    )


def _warmth(message: evaluation_pb2.EvaluationSpec) -> d.Warmth | None:
    if not message.HasField("warmth"):
        return None
    default = d.Warmth()
    return d.Warmth(
        metric=message.warmth.metric or default.metric,
        model=message.warmth.model or default.model,
        estimator=message.warmth.estimator or default.estimator,
    )


def _gate(message: evaluation_pb2.EvaluationSpec, arms: Mapping[str, d.Arm]) -> d.Gate:
    gate = message.gate
    mode = gate.mode or "verdict"
    others = [name for name in arms if name != message.baseline]
    candidates: Sequence[str] = list(gate.candidates)
    if not candidates and mode == "verdict" and len(others) == 1:
        candidates = others
    margins = dict(d.DEFAULT_MARGINS_PP)
    explicit = set(gate.margins_pp) | set(gate.critical) | set(gate.advisory)
    if gate.HasField("margin_pp"):
        margins["false_belief"] = gate.margin_pp
        explicit.add("false_belief")
    margins.update(gate.margins_pp)
    critical = tuple(gate.critical) or tuple(name for name in d.DEFAULT_MARGINS_PP if name not in gate.advisory)
    return d.Gate(
        mode=mode,
        candidates=tuple(candidates) if mode == "verdict" else (),
        margins_pp=margins,
        explicit=frozenset(explicit),
        critical=critical,
        advisory=tuple(gate.advisory),
        alpha=gate.alpha if gate.HasField("alpha") else 0.05,
        stopping=gate.stopping or "group",
        fail_on=gate.fail_on or "margin",
    )


def _planning(message: evaluation_pb2.Planning) -> d.Planning:
    default = d.Planning()
    return d.Planning(
        discordance=message.discordance if message.HasField("discordance") else default.discordance,
        rho=message.rho if message.HasField("rho") else default.rho,
        judge_share=message.judge_share if message.HasField("judge_share") else None,
    )
