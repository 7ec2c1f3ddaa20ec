"""Everything that is wrong with a request, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from chassis.sampling import OMITTABLE, TOKEN_LIMIT_FIELDS
from chassis.system_prompts import NAMES
from chassis.urls import url_problem
from services.inference.domain.model import (
    ROLES,
    Checkpoint,
    Endpoint,
    ModelSpec,
    Prompt,
    Sampling,
    SystemPrompt,
)

MAX_PROMPTS = 1024
_MAX_SYSTEM_CHARS = 32_768
_MAX_NAMED = 20


def check(spec: ModelSpec, sampling: Sampling | None = None, prompts: Sequence[Prompt] | None = None) -> None:
    """Raise CandorError BATCH_TOO_LARGE, or INVALID_REQUEST with every bad field (20 of them named)."""
    if prompts is not None and len(prompts) > MAX_PROMPTS:
        message = f"{len(prompts)} prompts in one batch; send at most {MAX_PROMPTS}"
        raise CandorError(Reason.BATCH_TOO_LARGE, message, metadata={"limit": str(MAX_PROMPTS)})
    found = [*_model(spec)]
    if sampling is not None:
        found += _sampling(sampling)
    if prompts is not None:
        found += _prompts(prompts)
    if found:
        named = [FieldViolation(path, text) for path, text in found[:_MAX_NAMED]]
        more = f" ({len(found)}, of which {_MAX_NAMED} are named)" if len(found) > _MAX_NAMED else ""
        raise invalid(f"the request has bad fields{more}", named)


def _model(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    if spec.source is None:
        yield "model.source", "is required: set endpoint or checkpoint"
    elif isinstance(spec.source, Endpoint):
        yield from _endpoint(spec.source)
    elif isinstance(spec.source, Checkpoint) and not spec.source.path:
        yield "model.checkpoint.path", "is required: a folder with config, tokenizer and safetensors weights"
    if spec.system_prompt is not None:
        yield from _system_prompt(spec.system_prompt)


def _endpoint(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    where = "model.endpoint"
    if not endpoint.base_url:
        yield f"{where}.base_url", "is required, for example http://localhost:8000/v1"
    elif problem := url_problem(endpoint.base_url):
        yield f"{where}.base_url", problem
    if not endpoint.model:
        yield f"{where}.model", "is required: the model name that the endpoint expects"
    if endpoint.api_key_env and endpoint.credential:
        yield where, "has api_key_env and credential; give one"


def _system_prompt(prompt: SystemPrompt) -> Iterator[tuple[str, str]]:
    where = "model.system_prompt"
    if prompt.kind == "file":
        yield f"{where}.file", "is read by the client; send its text"
    elif not prompt.kind or not prompt.value.strip():
        yield where, "is empty; set text or builtin, or leave system_prompt out"
    elif prompt.kind == "builtin" and prompt.value not in NAMES:
        yield f"{where}.builtin", f"{prompt.value!r} is not built in; use {' or '.join(NAMES)}"
    elif len(prompt.value) > _MAX_SYSTEM_CHARS:
        yield f"{where}.text", f"has {len(prompt.value)} characters; at most {_MAX_SYSTEM_CHARS}"


def _sampling(sampling: Sampling) -> Iterator[tuple[str, str]]:
    if not 0 <= sampling.temperature <= 2:
        yield "sampling.temperature", f"is {sampling.temperature}; must be 0 to 2"
    if not 1 <= sampling.max_tokens <= 32_768:
        yield "sampling.max_tokens", f"is {sampling.max_tokens}; must be 1 to 32768"
    if sampling.top_p is not None and not 0 < sampling.top_p <= 1:
        yield "sampling.top_p", f"is {sampling.top_p}; must be above 0 and at most 1"
    for index, name in enumerate(sampling.omit):
        if name not in OMITTABLE:
            yield f"sampling.omit[{index}]", f"{name!r} cannot be omitted; choose from {', '.join(OMITTABLE)}"
    if sampling.max_tokens_field not in TOKEN_LIMIT_FIELDS:
        yield "sampling.max_tokens_field", f"must be {' or '.join(TOKEN_LIMIT_FIELDS)}"


def _prompts(prompts: Sequence[Prompt]) -> Iterator[tuple[str, str]]:
    if not prompts:
        yield "prompts", "is empty; send 1 to 1024"
    for index, prompt in enumerate(prompts):
        if not prompt.messages:
            yield f"prompts[{index}].messages", "is empty; send at least one message"
        for turn, (role, content) in enumerate(prompt.messages):
            where = f"prompts[{index}].messages[{turn}]"
            if role not in ROLES:
                yield f"{where}.role", f"{role!r} is unknown; use {', '.join(ROLES)}"
            if not content:
                yield f"{where}.content", "is empty"
