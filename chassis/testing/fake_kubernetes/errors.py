"""Refusals in the API server's words (`k8s.io/apimachinery/pkg/api/errors`): a `Status` and its HTTP code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chassis.testing.fake_kubernetes.kinds import Kind


class ApiError(Exception):
    """A refusal.

    Attributes:
        code: HTTP code.
        status: Body, a `meta/v1 Status`.
        retry_after: Seconds for the header, if one is sent.
    """

    def __init__(
        self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None, retry_after: int = 0
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after
        told = dict(details or {}) | ({"retryAfterSeconds": retry_after} if retry_after else {})
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({"details": told} if told else {}),
            "code": code,
        }


def details(kind: Kind, name: str) -> dict[str, Any]:
    """Which object a Status is about."""
    return {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural}


def not_found(kind: Kind, name: str) -> ApiError:
    """There is no such object."""
    return ApiError(404, "NotFound", f'{kind.qualified} "{name}" not found', details(kind, name))


def no_such_resource() -> ApiError:
    """The path names nothing that is served."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def exists(kind: Kind, name: str) -> ApiError:
    """The name is taken."""
    return ApiError(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists', details(kind, name))


def conflict(kind: Kind, name: str, why: str = "") -> ApiError:
    """The object is not what the caller took it for."""
    text = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {text}'
    return ApiError(409, "Conflict", message, details(kind, name))


def cause(field: str, reason: str, message: str) -> dict[str, str]:
    """One fault of a field."""
    return {"reason": reason, "message": message, "field": field}


def required(field: str, hint: str = "") -> dict[str, str]:
    """A field that is missing."""
    return cause(field, "FieldValueRequired", "Required value" + (f": {hint}" if hint else ""))


def invalid(kind: Kind, name: str, causes: Sequence[Mapping[str, str]]) -> ApiError:
    """Fields that do not hold."""
    told = [f"{each['field']}: {each['message']}" for each in causes]
    text = told[0] if len(told) == 1 else "[" + ", ".join(told) + "]"
    about = {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.name, "causes": list(causes)}
    return ApiError(422, "Invalid", f'{kind.qualified_kind} "{name}" is invalid: {text}', about)


def forbidden(kind: Kind, name: str, why: str) -> ApiError:
    """It may not be done."""
    return ApiError(403, "Forbidden", f'{kind.qualified} "{name}" is forbidden: {why}', details(kind, name))


def bad_request(message: str) -> ApiError:
    """It cannot be read."""
    return ApiError(400, "BadRequest", message)


def expired(message: str) -> ApiError:
    """The history that was asked for is gone."""
    return ApiError(410, "Expired", message)
