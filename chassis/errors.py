"""The error catalog: every reason that a caller may see, once, with its status, retryability and exit code.

Domain code raises `CandorError`; servers turn it into a rich status, clients back into a `CandorError`, the CLI into
an exit code. This module imports nothing of gRPC, so that the inside of a service may use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

DOMAIN = "candor.dev"


class ExitCode(IntEnum):
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


class Reason(StrEnum):
    """Machine-readable reasons (AIP-193 ErrorInfo.reason)."""

    INVALID_REQUEST = "INVALID_REQUEST"
    BAD_DOCUMENT = "BAD_DOCUMENT"
    BAD_DATASET = "BAD_DATASET"
    BAD_TRAINING_DATA = "BAD_TRAINING_DATA"
    BATCH_TOO_LARGE = "BATCH_TOO_LARGE"
    UNDERPOWERED = "UNDERPOWERED"
    DATASET_TOO_LARGE = "DATASET_TOO_LARGE"
    NO_TARGET = "NO_TARGET"
    HOST_NOT_ALLOWED = "HOST_NOT_ALLOWED"
    PATH_NOT_ALLOWED = "PATH_NOT_ALLOWED"
    CREDENTIAL_NOT_ALLOWED = "CREDENTIAL_NOT_ALLOWED"
    CREDENTIAL_MISSING = "CREDENTIAL_MISSING"
    CHECKPOINT_NOT_FOUND = "CHECKPOINT_NOT_FOUND"
    BAD_CHECKPOINT = "BAD_CHECKPOINT"
    ADAPTER_MISMATCH = "ADAPTER_MISMATCH"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    ENDPOINT_UNAUTHENTICATED = "ENDPOINT_UNAUTHENTICATED"
    ENDPOINT_REFUSED = "ENDPOINT_REFUSED"
    BACKEND_MISSING = "BACKEND_MISSING"
    SCORER_NOT_FOUND = "SCORER_NOT_FOUND"
    EVALUATION_NOT_FOUND = "EVALUATION_NOT_FOUND"
    EVALUATION_RUNNING = "EVALUATION_RUNNING"
    EVALUATION_UNFINISHED = "EVALUATION_UNFINISHED"
    DOCUMENT_CHANGED = "DOCUMENT_CHANGED"
    CALLER_UNAUTHENTICATED = "CALLER_UNAUTHENTICATED"
    CALLER_FORBIDDEN = "CALLER_FORBIDDEN"
    CALLER_LIMITED = "CALLER_LIMITED"
    CANCELLED = "CANCELLED"
    IDENTITY_CHANGED = "IDENTITY_CHANGED"
    OUTPUT_BUDGET = "OUTPUT_BUDGET"
    EMPTY_REPLY = "EMPTY_REPLY"
    BAD_REPLY = "BAD_REPLY"
    CONTEXT_TOO_LONG = "CONTEXT_TOO_LONG"
    SPEND_CAP = "SPEND_CAP"
    RATE_LIMITED = "RATE_LIMITED"
    ENDPOINT_UNAVAILABLE = "ENDPOINT_UNAVAILABLE"
    ENDPOINT_TIMEOUT = "ENDPOINT_TIMEOUT"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    DATASET_NOT_FOUND = "DATASET_NOT_FOUND"
    TRAINING_JOB_NOT_FOUND = "TRAINING_JOB_NOT_FOUND"
    TRAINING_JOB_RUNNING = "TRAINING_JOB_RUNNING"
    TRAINING_FAILED = "TRAINING_FAILED"
    TRAINING_NOT_STARTED = "TRAINING_NOT_STARTED"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    DISK_FULL = "DISK_FULL"
    ARTIFACTS_LOCKED = "ARTIFACTS_LOCKED"
    LEDGER_LOCKED = "LEDGER_LOCKED"
    LEDGER_FULL = "LEDGER_FULL"
    LEDGER_UNUSABLE = "LEDGER_UNUSABLE"
    STORAGE_UNUSABLE = "STORAGE_UNUSABLE"
    STATE_NOT_DURABLE = "STATE_NOT_DURABLE"
    INTERNAL = "INTERNAL"

    @property
    def entry(self) -> Entry:
        """The reason's line in the catalog."""
        return CATALOG[self]


CATALOG: Mapping[Reason, Entry] = {
    Reason.INVALID_REQUEST: Entry("INVALID_ARGUMENT", False, ExitCode.BAD_DOCUMENT),
    Reason.BAD_DOCUMENT: Entry("INVALID_ARGUMENT", False, ExitCode.BAD_DOCUMENT),
    Reason.BAD_DATASET: Entry("INVALID_ARGUMENT", False, ExitCode.BAD_DOCUMENT),
    Reason.BAD_TRAINING_DATA: Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT),
    Reason.BATCH_TOO_LARGE: Entry("INVALID_ARGUMENT", False, ExitCode.BAD_DOCUMENT),
    Reason.UNDERPOWERED: Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT),
    Reason.DATASET_TOO_LARGE: Entry("RESOURCE_EXHAUSTED", False, ExitCode.BAD_DOCUMENT),
    Reason.NO_TARGET: Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT),
    Reason.HOST_NOT_ALLOWED: Entry("PERMISSION_DENIED", False, ExitCode.BAD_DOCUMENT),
    Reason.PATH_NOT_ALLOWED: Entry("PERMISSION_DENIED", False, ExitCode.BAD_DOCUMENT),
    Reason.CREDENTIAL_NOT_ALLOWED: Entry("PERMISSION_DENIED", False, ExitCode.BAD_DOCUMENT),
    Reason.CREDENTIAL_MISSING: Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT),
    Reason.CHECKPOINT_NOT_FOUND: Entry("NOT_FOUND", False, ExitCode.BAD_DOCUMENT),
    Reason.BAD_CHECKPOINT: Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT),
    Reason.ADAPTER_MISMATCH: Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT),
    Reason.MODEL_NOT_FOUND: Entry("NOT_FOUND", False, ExitCode.BAD_DOCUMENT),
    Reason.ENDPOINT_UNAUTHENTICATED: Entry("UNAUTHENTICATED", False, ExitCode.BAD_DOCUMENT),
    Reason.ENDPOINT_REFUSED: Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT),
    Reason.BACKEND_MISSING: Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT),
    Reason.SCORER_NOT_FOUND: Entry("NOT_FOUND", False, ExitCode.BAD_DOCUMENT),
    Reason.EVALUATION_NOT_FOUND: Entry("NOT_FOUND", False, ExitCode.USAGE),
    Reason.EVALUATION_RUNNING: Entry("FAILED_PRECONDITION", False, ExitCode.USAGE),
    Reason.EVALUATION_UNFINISHED: Entry("FAILED_PRECONDITION", False, ExitCode.USAGE),
    Reason.DOCUMENT_CHANGED: Entry("FAILED_PRECONDITION", False, ExitCode.USAGE),
    Reason.CALLER_UNAUTHENTICATED: Entry("UNAUTHENTICATED", False, ExitCode.USAGE),
    Reason.CALLER_FORBIDDEN: Entry("PERMISSION_DENIED", False, ExitCode.USAGE),
    Reason.CALLER_LIMITED: Entry("RESOURCE_EXHAUSTED", True, ExitCode.TEMPORARY),
    Reason.CANCELLED: Entry("CANCELLED", False, ExitCode.CANCELLED),
    Reason.IDENTITY_CHANGED: Entry("FAILED_PRECONDITION", False, ExitCode.INVALID),
    Reason.OUTPUT_BUDGET: Entry("RESOURCE_EXHAUSTED", False, ExitCode.TEMPORARY),
    Reason.EMPTY_REPLY: Entry("FAILED_PRECONDITION", False, ExitCode.TEMPORARY),
    Reason.BAD_REPLY: Entry("FAILED_PRECONDITION", False, ExitCode.TEMPORARY),
    Reason.CONTEXT_TOO_LONG: Entry("OUT_OF_RANGE", False, ExitCode.BAD_DOCUMENT),
    Reason.SPEND_CAP: Entry("RESOURCE_EXHAUSTED", False, ExitCode.TEMPORARY),
    Reason.RATE_LIMITED: Entry("UNAVAILABLE", True, ExitCode.TEMPORARY),
    Reason.ENDPOINT_UNAVAILABLE: Entry("UNAVAILABLE", True, ExitCode.TEMPORARY),
    Reason.ENDPOINT_TIMEOUT: Entry("UNAVAILABLE", True, ExitCode.TEMPORARY),
    Reason.SERVICE_UNAVAILABLE: Entry("UNAVAILABLE", True, ExitCode.TEMPORARY),
    Reason.DEADLINE_EXCEEDED: Entry("DEADLINE_EXCEEDED", True, ExitCode.TEMPORARY),
    Reason.DATASET_NOT_FOUND: Entry("NOT_FOUND", False, ExitCode.BAD_DOCUMENT),
    Reason.TRAINING_JOB_NOT_FOUND: Entry("NOT_FOUND", False, ExitCode.USAGE),
    Reason.TRAINING_JOB_RUNNING: Entry("FAILED_PRECONDITION", False, ExitCode.USAGE),
    Reason.TRAINING_FAILED: Entry("ABORTED", False, ExitCode.TEMPORARY),
    Reason.TRAINING_NOT_STARTED: Entry("FAILED_PRECONDITION", False, ExitCode.TEMPORARY),
    Reason.OUT_OF_MEMORY: Entry("RESOURCE_EXHAUSTED", False, ExitCode.TEMPORARY),
    Reason.DISK_FULL: Entry("RESOURCE_EXHAUSTED", True, ExitCode.TEMPORARY),
    Reason.ARTIFACTS_LOCKED: Entry("UNAVAILABLE", True, ExitCode.TEMPORARY),
    Reason.LEDGER_LOCKED: Entry("UNAVAILABLE", True, ExitCode.TEMPORARY),
    Reason.LEDGER_FULL: Entry("RESOURCE_EXHAUSTED", True, ExitCode.TEMPORARY),
    Reason.LEDGER_UNUSABLE: Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT),
    Reason.STORAGE_UNUSABLE: Entry("FAILED_PRECONDITION", False, ExitCode.TEMPORARY),
    Reason.STATE_NOT_DURABLE: Entry("FAILED_PRECONDITION", False, ExitCode.BAD_DOCUMENT),
    Reason.INTERNAL: Entry("INTERNAL", False, ExitCode.INTERNAL),
}


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
