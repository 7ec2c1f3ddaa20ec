"""The stored form of a document: the serialized proto."""

from __future__ import annotations

import io
from typing import Any

from candor.orchestrator.v1 import evaluation_pb2
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from chassis.errors import CandorError, Reason
from services.orchestrator.convert.documents import spec_from_proto
from services.orchestrator.domain.spec import Spec


class ProtoCodec:
    """Implements `ports.Codec`."""

    def decode(self, data: bytes) -> Spec:
        """See ports."""
        return spec_from_proto(_parsed(data))

    def text(self, data: bytes) -> str:
        """See ports: the fields in the order of the schema, as the document would be written."""
        from ruamel.yaml import YAML

        value: dict[str, Any] = json_format.MessageToDict(_parsed(data), preserving_proto_field_name=True)
        yaml = YAML()
        yaml.default_flow_style = False
        yaml.width = 120
        out = io.StringIO()
        yaml.dump(value, out)
        return out.getvalue()


def _parsed(data: bytes) -> evaluation_pb2.EvaluationSpec:
    message = evaluation_pb2.EvaluationSpec()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise CandorError(Reason.INTERNAL, "a stored document cannot be read") from error
    return message
