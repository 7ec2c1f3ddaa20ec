"""The error catalog: every reason that a caller may see, once, with its status, retryability and exit code.

Domain code raises `CandorError`; servers turn it into a rich status, clients back into a `CandorError`, the CLI into
an exit code. This module imports nothing of gRPC, so that the inside of a service may use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

DOMAIN = "candor.dev"


class ExitCode(int, Enum):
    """Exit codes of the command line. 1 and 2 mean verdicts and nothing else."""

    PASS = 0
    FAIL = 1
    INCONCLUSIVE = 2
    INVALID = 3
    USAGE = 64
    INTERNAL = 70
    TEMPORARY = 75
    BAD_DOCUMENT = 78
    CANCELLED = 130


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the catalog: gRPC status name, whether the same call may succeed later, exit code."""

    status: str
    retryable: bool
    exit_code: ExitCode


class Reason(Enum):
    """Machine-readable reasons (AIP-193 ErrorInfo.reason)."""

    INVALID_REQUEST = Entry("INVALID_ARGUMENT", False, ExitCode.BAD_DOCUMENT)
    BAD_DOCUMENT = Entry("INVALID_ARGUMENT", False, ExitCode.BAD_DOCUMENT)
    BAD_DATASET = Entry("INVALID_ARGUMENT", False, ExitCode.BAD_DOCUMENT)
    BATCH_TOO_LARGE = Entry("INVALID_ARGUMENT", False, ExitCode.BAD_DOCUMENT)
    UNDERPOWERED = Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT)
    DATASET_TOO_LARGE = Entry("RESOURCE_EXHAUSTED", False, ExitCode.BAD_DOCUMENT)
    NO_TARGET = Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT)
    HOST_NOT_ALLOWED = Entry("PERMISSION_DENIED", False, ExitCode.BAD_DOCUMENT)
    PATH_NOT_ALLOWED = Entry("PERMISSION_DENIED", False, ExitCode.BAD_DOCUMENT)
    CREDENTIAL_NOT_ALLOWED = Entry("PERMISSION_DENIED", False, ExitCode.BAD_DOCUMENT)
    CREDENTIAL_MISSING = Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT)
    CHECKPOINT_NOT_FOUND = Entry("NOT_FOUND", False, ExitCode.BAD_DOCUMENT)
    BAD_CHECKPOINT = Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT)
    MODEL_NOT_FOUND = Entry("NOT_FOUND", False, ExitCode.BAD_DOCUMENT)
    ENDPOINT_UNAUTHENTICATED = Entry("UNAUTHENTICATED", False, ExitCode.BAD_DOCUMENT)
    ENDPOINT_REFUSED = Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT)
    BACKEND_MISSING = Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT)
    SCORER_NOT_FOUND = Entry("NOT_FOUND", False, ExitCode.BAD_DOCUMENT)
    EVALUATION_NOT_FOUND = Entry("NOT_FOUND", False, ExitCode.USAGE)
    EVALUATION_RUNNING = Entry("FAILED_PRECONDITION", False, ExitCode.USAGE)
    EVALUATION_UNFINISHED = Entry("FAILED_PRECONDITION", False, ExitCode.USAGE)
    DOCUMENT_CHANGED = Entry("FAILED_PRECONDITION", False, ExitCode.USAGE)
    CALLER_UNAUTHENTICATED = Entry("UNAUTHENTICATED", False, ExitCode.USAGE)
    CANCELLED = Entry("CANCELLED", False, ExitCode.CANCELLED)
    IDENTITY_CHANGED = Entry("FAILED_PRECONDITION", False, ExitCode.INVALID)
    OUTPUT_BUDGET = Entry("RESOURCE_EXHAUSTED", False, ExitCode.TEMPORARY)
    EMPTY_REPLY = Entry("INTERNAL", False, ExitCode.TEMPORARY)
    BAD_REPLY = Entry("INTERNAL", False, ExitCode.TEMPORARY)
    CONTEXT_TOO_LONG = Entry("OUT_OF_RANGE", False, ExitCode.BAD_DOCUMENT)
    RATE_LIMITED = Entry("UNAVAILABLE", True, ExitCode.TEMPORARY)
    ENDPOINT_UNAVAILABLE = Entry("UNAVAILABLE", True, ExitCode.TEMPORARY)
    ENDPOINT_TIMEOUT = Entry("UNAVAILABLE", True, ExitCode.TEMPORARY)
    SERVICE_UNAVAILABLE = Entry("UNAVAILABLE", True, ExitCode.TEMPORARY)
    DEADLINE_EXCEEDED = Entry("DEADLINE_EXCEEDED", True, ExitCode.TEMPORARY)
    LEDGER_LOCKED = Entry("UNAVAILABLE", True, ExitCode.TEMPORARY)
    LEDGER_FULL = Entry("RESOURCE_EXHAUSTED", True, ExitCode.TEMPORARY)
    INTERNAL = Entry("INTERNAL", False, ExitCode.INTERNAL)

    # Two reasons may share an entry's values; identity is the name.
    def __new__(cls, entry: Entry) -> Reason:
        """Give every reason its own value, so that equal entries do not become aliases."""
        member = object.__new__(cls)
        member._value_ = (len(cls.__members__), entry)
        return member

    @property
    def entry(self) -> Entry:
        """The reason's line in the catalog."""
        entry: Entry = self.value[1]
        return entry


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A bad field: its path (`arms.v2.endpoint.base_url`) and what is wrong with it and how to mend it."""

    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field}: {self.description}"


@dataclass(eq=False)
class CandorError(Exception):
    """An error with a public message. Anything else that is raised is a defect and reaches callers as INTERNAL.

    Attributes:
        reason: The catalog entry.
        message: One or two sentences for a person: what happened and how to mend it. Never a secret, never user text.
        violations: Every bad field, where fields are to blame.
        metadata: Short machine-readable context (host, path, limit).
    """

    reason: Reason
    message: str
    violations: Sequence[FieldViolation] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {violation}" for violation in self.violations)])

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return self.reason.entry.retryable

    @property
    def exit_code(self) -> ExitCode:
        """What the command line exits with."""
        return self.reason.entry.exit_code


def invalid(message: str, violations: Sequence[FieldViolation], reason: Reason = Reason.INVALID_REQUEST) -> CandorError:
    """An error about fields."""
    return CandorError(reason, message, violations=tuple(violations))
