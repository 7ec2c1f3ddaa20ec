"""A judge named by command-line options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chassis.errors import CandorError, Reason

if TYPE_CHECKING:
    from candor.grader.v1 import grader_pb2


def judge_from_options(url: str, model: str, key_env: str) -> grader_pb2.Judge | None:
    """The judge, or None when no URL is given."""
    if not url:
        if model or key_env:
            raise CandorError(Reason.INVALID_REQUEST, "--judge-model and --judge-key-env need --judge-url as well")
        return None
    if not model:
        raise CandorError(Reason.INVALID_REQUEST, "--judge-url needs --judge-model as well")
    from candor.common.v1 import model_pb2
    from candor.grader.v1 import grader_pb2

    return grader_pb2.Judge(endpoint=model_pb2.Endpoint(base_url=url, model=model, api_key_env=key_env))
