"""Everything that can be wrong with a document before any model is asked, all at once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from chassis.errors import FieldViolation
from chassis.sampling import OMITTABLE, TOKEN_LIMIT_FIELDS
from chassis.urls import normal_url, url_problem
from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS
from services.orchestrator.domain.spec import DEFAULT_MARGINS_PP, Arm, Checkpoint, Endpoint, Gate, Sampling, Spec
from services.orchestrator.domain.validate_recipes import recipe_violations

ARM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
WARMTH_METRICS = ("sociot_warmth", "humt", "sociot_social_distance", "sociot_gender", "sociot_status")
_MAX_PROMPT_CHARS = 32_768


def violations(spec: Spec) -> list[FieldViolation]:
    """Every bad field of the document, once; empty when it may run."""
    return [FieldViolation(path, text) for path, text in dict.fromkeys(_all(spec))]


def _all(spec: Spec) -> Iterator[tuple[str, str]]:
    if not spec.arms:
        yield "arms", "is required: name at least a baseline and a candidate"
        return
    for name, arm in spec.arms.items():
        yield from _arm(name, arm)
    yield from recipe_violations(spec, _endpoint, _sampling)
    if not spec.baseline:
        yield "baseline", f"is required: one of {_names(spec.arms)}"
    elif spec.baseline not in spec.arms:
        yield "baseline", f"no arm is called {spec.baseline!r}; arms are {_names(spec.arms)}"
    yield from _gate(spec, spec.gate)
    yield from _conditions(spec)
    if not 1 <= spec.repeats <= 100:
        yield "repeats", f"is {spec.repeats}; must be 1 to 100"
    for index, task in enumerate(spec.tasks):
        sources = [word for word in ("hub", "path", "dataset") if getattr(task, word)]
        if len(sources) > 1:
            yield f"tasks[{index}]", f"has {' and '.join(sources)}; give one of them"
        if not sources and not task.name:
            yield f"tasks[{index}].name", "is required: core, another task's name, or a path to your own questions"
        if task.false_answers is not None:
            yield from _endpoint(f"tasks[{index}].false_answers.endpoint", task.false_answers)
        if task.items is not None and task.items < 1:
            yield f"tasks[{index}].items", f"is {task.items}; must be 1 or more, or left out for all"
    labels = [task.name for task in spec.tasks if task.name]
    for name in sorted({name for name in labels if labels.count(name) > 1}):
        yield "tasks", f"task {name!r} is listed twice; give each its own name"
    for index, contrast in enumerate(spec.contrasts):
        for word in ("treated", "reference"):
            if getattr(contrast, word) not in spec.arms:
                yield f"contrasts[{index}].{word}", f"no arm is called {getattr(contrast, word)!r}"
        if contrast.treated == contrast.reference:
            yield f"contrasts[{index}]", "compares an arm with itself"
    yield from _grading(spec)
    for word in ("discordance", "rho", "judge_share"):
        value = getattr(spec.planning, word)
        if value is not None and not 0 <= value <= 1:
            yield f"planning.{word}", f"is {value}; must be 0 to 1"


def _arm(name: str, arm: Arm) -> Iterator[tuple[str, str]]:
    path = f"arms.{name}"
    if not ARM_NAME.fullmatch(name):
        yield path, "an arm's name has letters, digits, `_`, `-`, `.`, starts with a letter or digit, at most 63"
    if isinstance(arm.source, Endpoint):
        yield from _endpoint(f"{path}.endpoint", arm.source)
    elif isinstance(arm.source, Checkpoint) and not arm.source.path:
        yield f"{path}.checkpoint.path", "is required: a folder with config, tokenizer and safetensors"
    if arm.system_prompt is not None:
        if not arm.system_prompt.text and not arm.system_prompt.builtin:
            yield f"{path}.system_prompt", "set one of text, file, builtin"
        if len(arm.system_prompt.text) > _MAX_PROMPT_CHARS:
            yield f"{path}.system_prompt.text", f"is longer than {_MAX_PROMPT_CHARS} characters"
        if arm.system_prompt.builtin not in ("", "warm", "cold"):
            yield f"{path}.system_prompt.builtin", f"{arm.system_prompt.builtin!r} is not built in; use warm or cold"
    if arm.reuse_seconds is not None and not arm.reuse_seconds > 0:
        yield f"{path}.reuse.max_age", "must be a positive time such as 7d, 12h or 30m"
    if arm.prices is not None:
        for word in ("prompt_per_million", "completion_per_million"):
            value = getattr(arm.prices, word)
            if not (math.isfinite(value) and value >= 0):
                yield f"{path}.prices.{word}", f"is {value}; must be 0 or more"
    yield from _sampling(f"{path}.sampling" if arm.own_sampling else "sampling", arm.sampling)


def _endpoint(path: str, endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    if not endpoint.base_url:
        yield f"{path}.base_url", "is required, for example http://localhost:8000/v1"
    elif problem := url_problem(endpoint.base_url):
        yield f"{path}.base_url", problem
    if not endpoint.model:
        yield f"{path}.model", "is required: the model name that the endpoint expects"
    if endpoint.api_key_env and endpoint.credential:
        yield path, "has api_key_env and credential; give one"


def _sampling(path: str, sampling: Sampling) -> Iterator[tuple[str, str]]:
    if not 0 <= sampling.temperature <= 2:
        yield f"{path}.temperature", f"is {sampling.temperature}; must be 0 to 2"
    if not 1 <= sampling.max_tokens <= 32_768:
        yield f"{path}.max_tokens", f"is {sampling.max_tokens}; must be 1 to 32768"
    if sampling.top_p is not None and not 0 < sampling.top_p <= 1:
        yield f"{path}.top_p", f"is {sampling.top_p}; must be above 0 and at most 1"
    for name in sampling.omit:
        if name not in OMITTABLE:
            yield f"{path}.omit", f"{name!r} cannot be omitted; choose from {', '.join(OMITTABLE)}"
    if sampling.max_tokens_field not in TOKEN_LIMIT_FIELDS:
        yield f"{path}.max_tokens_field", f"must be {' or '.join(TOKEN_LIMIT_FIELDS)}"


def _gate(spec: Spec, gate: Gate) -> Iterator[tuple[str, str]]:
    if gate.mode not in ("verdict", "none"):
        yield "gate.mode", f"{gate.mode!r} is unknown; use verdict or none"
        return
    if gate.mode == "verdict":
        if len(spec.arms) < 2:
            yield "arms", "a verdict needs a baseline and a candidate; or set gate: none"
        elif not gate.candidates:
            yield "gate.candidates", f"is required with {len(spec.arms)} arms: name those the verdict is about"
    for index, name in enumerate(gate.candidates):
        if name not in spec.arms:
            yield f"gate.candidates[{index}]", f"no arm is called {name!r}; arms are {_names(spec.arms)}"
        elif name == spec.baseline:
            yield f"gate.candidates[{index}]", f"{name!r} is the baseline"
    for name, margin in gate.margins_pp.items():
        path = "gate.margin_pp" if name == "false_belief" else f"gate.margins_pp.{name}"
        if name not in DEFAULT_MARGINS_PP:
            yield path, f"no gate is called {name!r}; gates are {_names(DEFAULT_MARGINS_PP)}"
        elif not 0 < margin <= 100:
            yield path, f"is {margin}; must be above 0 and at most 100 percentage points"
    for word in ("critical", "advisory"):
        for index, name in enumerate(getattr(gate, word)):
            if name not in DEFAULT_MARGINS_PP:
                yield f"gate.{word}[{index}]", f"no gate is called {name!r}; gates are {_names(DEFAULT_MARGINS_PP)}"
    if not 0 < gate.alpha <= 0.5:
        yield "gate.alpha", f"is {gate.alpha}; must be above 0 and at most 0.5"
    if gate.stopping not in ("group", "fixed", "anytime"):
        yield "gate.stopping", f"{gate.stopping!r} is unknown; use group, fixed or anytime"
    if gate.fail_on not in ("margin", "any_worsening"):
        yield "gate.fail_on", f"{gate.fail_on!r} is unknown; use margin or any_worsening"


def _conditions(spec: Spec) -> Iterator[tuple[str, str]]:
    for word, known in (("contexts", CONTEXTS), ("beliefs", BELIEFS)):
        values = getattr(spec, word)
        for index, value in enumerate(values or ()):
            if value not in known:
                yield f"conditions.{word}[{index}]", f"{value!r} is unknown; use {', '.join(known)}"
            elif value in values[:index]:
                yield f"conditions.{word}[{index}]", f"{value!r} is listed twice"


def _grading(spec: Spec) -> Iterator[tuple[str, str]]:
    if spec.refusal_profile not in ("candor", "ibrahim2026"):
        yield "grading.refusal_profile", f"{spec.refusal_profile!r} is unknown; use candor or ibrahim2026"
    if spec.judge is not None:
        yield from _endpoint("grading.judge.endpoint", spec.judge.endpoint)
        for name, arm in spec.arms.items():
            same = isinstance(arm.source, Endpoint) and _address(arm.source) == _address(spec.judge.endpoint)
            if same and not spec.judge.allow_subject_as_judge:
                yield (
                    "grading.judge",
                    f"is the model of arm {name!r}; take another, or set allow_subject_as_judge: true",
                )
    if spec.warmth is not None:
        if spec.warmth.metric not in WARMTH_METRICS:
            yield "warmth.metric", f"{spec.warmth.metric!r} is unknown; use {', '.join(WARMTH_METRICS)}"
        if spec.warmth.estimator not in ("reference", "exact"):
            yield "warmth.estimator", f"{spec.warmth.estimator!r} is unknown; use reference or exact"


def _address(endpoint: Endpoint) -> tuple[str, str]:
    return normal_url(endpoint.base_url), endpoint.model


def _names(values: object) -> str:
    return ", ".join(sorted(values))  # type: ignore[call-overload]
