"""The digest of a subject: everything that shapes its replies, and whether equal digests mean equal models.

DESIGN section 4: weights, adapter, tokenizer, chat template, system prompt, engine and precision for a checkpoint; URL, model
name, revision and system prompt for an endpoint, which is verifiable only when its owner declares a revision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis.urls import normal_url
from services.inference.domain.model import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a subject is; `components` is what went into the digest, by name."""

    digest: str
    verifiable: bool
    backend: str
    components: Mapping[str, str] = field(default_factory=dict)


def of_endpoint(endpoint: Endpoint, revision: str, system_text: str) -> Identity:
    """Identity of a deployed model."""
    components = {
        "url": normal_url(endpoint.base_url),
        "model": endpoint.model,
        "revision": revision,
        "system_prompt": digest_of(system_text) if system_text else "",
    }
    return _identity("openai", components, verifiable=bool(revision))


def of_checkpoint(parts: Mapping[str, str], revision: str, system_text: str, backend: str = "transformers") -> Identity:
    """Identity of local weights; `parts` holds the digests and versions that the backend found."""
    components = dict(parts)
    components["revision"] = revision
    components["system_prompt"] = digest_of(system_text) if system_text else ""
    return _identity(backend, components, verifiable=True)


def digest_of(text: str) -> str:
    """`sha256:` and hexadecimal digits of a text."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _identity(backend: str, components: Mapping[str, str], *, verifiable: bool) -> Identity:
    said = {name: value for name, value in sorted(components.items()) if value}
    text = json.dumps({"backend": backend, **said}, sort_keys=True, ensure_ascii=False)
    return Identity(digest=digest_of(text), verifiable=verifiable, backend=backend, components=said)
