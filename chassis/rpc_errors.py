"""CandorError <-> google.rpc.Status: the only place that knows how errors travel."""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from chassis.errors import DOMAIN, CandorError, FieldViolation, Reason

# The service has tried these several times itself; channels are told not to multiply that (gRPC retry pushback).
_TRIED_ENOUGH = frozenset({Reason.ENDPOINT_UNAVAILABLE, Reason.ENDPOINT_TIMEOUT, Reason.RATE_LIMITED})
_NO_RETRY = ("grpc-retry-pushback-ms", "-1")
_RETRYABLE_CODES = {grpc.StatusCode.UNAVAILABLE: Reason.SERVICE_UNAVAILABLE}


def to_status(error: CandorError) -> status_pb2.Status:
    """The rich status of an error: ErrorInfo (reason, retryable); RetryInfo and BadRequest where there is such a thing."""
    details = []
    info = error_details_pb2.ErrorInfo(reason=error.reason.name, domain=DOMAIN, metadata=dict(error.metadata))
    info.metadata["retryable"] = "true" if error.retryable else "false"
    details.append(_packed(info))
    if seconds := error.metadata.get("retry_after_seconds"):
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(float(seconds) * 1000))
        details.append(_packed(retry))
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad.field_violations.add(field=violation.field, description=violation.description)
        details.append(_packed(bad))
    code = code_pb2.Code.Value(error.reason.entry.status)
    return status_pb2.Status(code=code, message=error.message, details=details)


def from_status(status: status_pb2.Status) -> CandorError:
    """The error that a rich status carries; a status of another origin becomes the nearest catalog entry."""
    reason = Reason.INTERNAL
    metadata: dict[str, str] = {}
    violations: list[FieldViolation] = []
    for detail in status.details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info) and info.domain == DOMAIN:
            reason = Reason.__members__.get(info.reason, Reason.INTERNAL)
            metadata = {key: value for key, value in info.metadata.items() if key != "retryable"}
        elif detail.Unpack(bad):
            violations = [FieldViolation(item.field, item.description) for item in bad.field_violations]
    return CandorError(reason, status.message, violations=tuple(violations), metadata=metadata)


def from_rpc_error(error: grpc.RpcError, service: str = "") -> CandorError:
    """The error behind a failed call. Accepts sync and aio errors."""
    status = rpc_status.from_call(error)
    if status is not None:
        return from_status(status)
    code, details = error.code(), error.details() or ""
    where = f"{service}: " if service else ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return CandorError(Reason.DEADLINE_EXCEEDED, f"{where}no answer within the deadline")
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return CandorError(Reason.CALLER_UNAUTHENTICATED, f"{where}{details or 'the token was refused'}")
    if code is grpc.StatusCode.CANCELLED:  # by the server: whoever cancels a call here gets no answer at all
        return CandorError(Reason.SERVICE_UNAVAILABLE, f"{where}the service stopped during the call")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return CandorError(Reason.BATCH_TOO_LARGE, f"{where}{details}")
    reason = _RETRYABLE_CODES.get(code, Reason.INTERNAL)
    return CandorError(reason, f"{where}{details or code.name}")


async def abort(context: grpc.aio.ServicerContext[object, object], error: CandorError) -> None:
    """End the call with the error's status. Raises grpc.aio.AbortError."""
    status = rpc_status.to_status(to_status(error))
    metadata = (*status.trailing_metadata, _NO_RETRY) if error.reason in _TRIED_ENOUGH else status.trailing_metadata
    await context.abort(status.code, status.details, metadata)


def _packed(message: Message) -> any_pb2.Any:
    detail = any_pb2.Any()
    detail.Pack(message)
    return detail
