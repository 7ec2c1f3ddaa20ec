"""Callers known by an issuer's tokens, and by their certificates, over real servers."""

import json
import time
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from candor.grader.v1 import grader_pb2, grader_pb2_grpc
from cryptography.hazmat.primitives.asymmetric import ec

from chassis.clients import Target, connect
from chassis.settings import ClientSettings
from services.grader.settings import GraderSettings

from .conftest import Logs, ended, entry

CASES = grader_pb2.GradeAnswersRequest(cases=[{"question": "q", "gold": ["a"], "reply": "a"}])
KEY = ec.generate_private_key(ec.SECP256R1())


async def grade(target: Target) -> grpc.StatusCode:
    async with connect(target) as channel:
        return await ended(grader_pb2_grpc.GraderServiceStub(channel).GradeAnswers(CASES, timeout=20))


def service_account(name: str, audience: str = "candor", key: Any = KEY) -> str:
    """A token as kubelet projects it into a pod."""
    now = int(time.time())
    claims = {"iss": "https://kubernetes.default.svc", "aud": [audience], "sub": name, "iat": now, "exp": now + 600}
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": "cluster"})


async def test_a_service_account_s_token_allows_what_its_subject_is_given(started: Any, tmp_path: Path) -> None:
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key())) | {"kid": "cluster"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
    allowed = "system:serviceaccount:platform:reports"
    oidc = {
        "issuer": "https://kubernetes.default.svc",
        "audience": "candor",
        "jwks_file": tmp_path / "jwks.json",
        "claim": "sub",
        "scopes": {allowed: ["grader/GradeAnswers"]},
    }
    stranger = ec.generate_private_key(ec.SECP256R1())
    expected = {
        service_account(allowed): "OK",
        service_account("system:serviceaccount:platform:other"): "PERMISSION_DENIED",
        service_account(allowed, audience="vault"): "UNAUTHENTICATED",
        service_account(allowed, key=stranger): "UNAUTHENTICATED",
        "t": "OK",
        "wrong": "UNAUTHENTICATED",
    }
    async with started("grader", callers={"team": entry("t", "grader")}, oidc=oidc) as suite:
        at = suite.addresses["grader"]
        found = {token: (await grade(Target.with_token(at, token))).name for token in expected}
    assert found == expected


def test_oidc_is_set_by_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OIDC__ISSUER": "https://id.example.org/",
        "OIDC__AUDIENCE": "candor",
        "OIDC__JWKS_URL": "https://id.example.org/keys",
        "OIDC__SCOPES": '{"evaluators": ["grader"]}',
        "LIMITS__CALLS_PER_SECOND": "5",
    }.items():
        monkeypatch.setenv(f"CANDOR_GRADER_{name}", value)
    settings = GraderSettings()
    assert settings.oidc.scopes == {"evaluators": ("grader",)}
    assert settings.limits.calls_per_second == 5


async def test_a_certificate_names_its_caller_who_needs_no_token(
    started: Any, pki: Any, tmp_path: Path, logs: Logs
) -> None:
    ca = pki.authority("callers-ca")
    server = pki.signed("grader", "callers-ca")
    platform = pki.signed("platform", "callers-ca", names="DNS:reports.platform.svc")
    other = pki.signed("other", "callers-ca", names="DNS:other.platform.svc")
    callers = {"platform": {"certificates": ["reports.platform.svc"], "scopes": ["grader:read"]}}
    tls = {"tls_cert_file": server[0], "tls_key_file": server[1], "tls_client_ca_file": ca}

    def target(address: str, pair: tuple[Path, Path], token: str = "") -> Target:
        (tmp_path / "token").write_text(token)
        return Target.from_settings(
            ClientSettings(
                target=address,
                tls_ca_file=ca,
                tls_cert_file=pair[0],
                tls_key_file=pair[1],
                token_file=tmp_path / "token",
            )
        )

    async with started("grader", callers=callers | {"team": entry("t", "grader")}, **tls) as suite:
        at = suite.addresses["grader"]
        assert await grade(target(at, platform)) is grpc.StatusCode.PERMISSION_DENIED  # known, and may only look
        assert await grade(target(at, other)) is grpc.StatusCode.UNAUTHENTICATED
        assert await grade(target(at, other, "t")) is grpc.StatusCode.OK
        # A token that is wrong is not overlooked because the certificate is right.
        assert await grade(target(at, platform, "wrong")) is grpc.StatusCode.UNAUTHENTICATED
    assert [line["caller"] for line in logs.audit() if line["reason"] == "CALLER_FORBIDDEN"] == ["platform"]
