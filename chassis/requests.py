"""Checks that requests of several services share: sizes, lengths, and one error over everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chassis.errors import CandorError, FieldViolation, Reason

MAX_CHARS = 200_000
"""Longest text of a request, in characters."""

MESSAGE_CHARS = 2_000_000
"""Text that surely fits one gRPC message: at most four bytes a character, half of the smallest limit of 16 MiB."""

# The details of a status travel in HTTP/2 trailers, which hold about 8 kB.
_MAX_NAMED = 40

Problem = tuple[str, str]
"""A field, and what is wrong with it as the rest of a sentence."""


def batch_size(name: str, count: int, limit: int) -> Iterator[Problem]:
    """What is wrong with the number of entries of a batch."""
    if not count:
        yield name, f"is required: 1 to {limit:,}"
    elif count > limit:
        yield name, f"has {count:,}; send at most {limit:,} in one call"


def too_long(text: str) -> str:
    """What is wrong with a text above MAX_CHARS."""
    return f"has {len(text):,} characters; at most {MAX_CHARS:,} are read"


def refuse(found: Sequence[Problem], *, count: int = 0, limit: int = 0) -> None:
    """Raise for bad fields, if there are any; 40 of very many are named.

    Args:
        found: The problems.
        count: Entries of the batch.
        limit: How many it may have.

    Raises:
        CandorError: BATCH_TOO_LARGE if `count` is above `limit`, else INVALID_REQUEST.
    """
    if not found:
        return
    violations = tuple(FieldViolation(path, text) for path, text in found[:_MAX_NAMED])
    more = f" ({len(found):,} in all; the first {_MAX_NAMED} are named)" if len(found) > _MAX_NAMED else ""
    if count > limit:
        message = f"the batch is too large: at most {limit:,} in one call; nothing was done{more}"
        raise CandorError(Reason.BATCH_TOO_LARGE, message, violations=violations, metadata={"limit": str(limit)})
    raise CandorError(Reason.INVALID_REQUEST, f"the request has bad fields{more}", violations=violations)
