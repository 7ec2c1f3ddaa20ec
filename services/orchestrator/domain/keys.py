"""Content keys: what makes two calls the same call (DESIGN section 4).

key = SHA-256(prompt digest, subject digest, sampling, repeat, scope, draw), 32 bytes. The prompt digest covers the item
and the rendered messages. The scope is empty for verifiable identities and `lineage/arm` for all others, so that their
replies serve resume and re-analysis and are never taken by another run. The draw tells apart two arms of one evaluation
that are the same subject: the first draws 0, the second 1, so that an A/A check compares two real samples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from services.orchestrator.domain.spec import Sampling


def prompt_digest(item_digest: bytes, messages: Sequence[tuple[str, str]]) -> bytes:
    """Digest of an item and the (role, content) messages it is asked with."""
    digest = hashlib.sha256(item_digest)
    for role, content in messages:
        for part in (role.encode(), content.encode()):
            digest.update(len(part).to_bytes(4, "big"))
            digest.update(part)
    return digest.digest()


def subject_prefix(subject_digest: str, sampling: Sampling, scope: str, draw: int = 0) -> bytes:
    """What all calls of one arm share: computed once."""
    text = json.dumps([subject_digest, asdict(sampling), scope, draw], sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).digest()


def response_key(prefix: bytes, prompt: bytes, repeat: int) -> bytes:
    """The content key of one response."""
    return hashlib.sha256(prefix + prompt + repeat.to_bytes(4, "big")).digest()


def response_keys(prefix: bytes, calls: Iterable[tuple[bytes, int]]) -> list[bytes]:
    """The keys of many (prompt, repeat): `response_key` of each, without the calls that a million of them would cost."""
    sha256 = hashlib.sha256
    return [sha256(prefix + prompt + repeat.to_bytes(4, "big")).digest() for prompt, repeat in calls]


def call_seed(seed: int, prompt: bytes, repeat: int, draw: int = 0) -> int:
    """Seed of one call: the same for every arm, different for every prompt, repeat and draw. 31 bits, as endpoints take."""
    parts = seed.to_bytes(8, "big", signed=True) + prompt + repeat.to_bytes(4, "big") + draw.to_bytes(4, "big")
    return int.from_bytes(hashlib.sha256(parts).digest()[:4], "big") & 0x7FFF_FFFF
