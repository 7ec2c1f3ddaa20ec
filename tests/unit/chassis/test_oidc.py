"""Tokens of an issuer: what is taken, and every forgery that we know of."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import ValidationError

from chassis.auth.oidc import Oidc, OidcSettings
from chassis.errors import CandorError, Reason

ISSUER, AUDIENCE = "https://id.example.org/", "candor"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SECRET = "a secret that is long enough for HS256, and then some"


def jwks() -> dict[str, Any]:
    keys = [
        json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())) | {"kid": "rsa", "use": "sig", "alg": "RS256"},
        json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key())) | {"kid": "ec", "use": "sig"},
        {"kty": "oct", "kid": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode()},
    ]
    return {"keys": keys}


@pytest.fixture
def oidc(tmp_path: Path) -> Oidc:
    (tmp_path / "jwks.json").write_text(json.dumps(jwks()))
    return Oidc(settings(tmp_path / "jwks.json"))


def settings(path: Path, **changes: Any) -> OidcSettings:
    values = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "jwks_file": path,
        "claim": "groups",
        "scopes": {"evaluators": ("orchestrator:write",), "graders": ("grader", "inference:read")},
    }
    return OidcSettings.model_validate(values | changes)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "exp": now + 3600, "iat": now, "groups": ["evaluators"]}
    return {name: value for name, value in (given | changes).items() if value is not None}


def signed(payload: dict[str, Any], key: Any = RSA, algorithm: str = "RS256", kid: str | None = "rsa") -> str:
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def by_hand(header: dict[str, Any], payload: dict[str, Any], secret: bytes | None) -> str:
    """A token as a forger writes it, past what libraries refuse to make."""

    def encoded(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    body = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(payload).encode())}"
    signature = hmac.new(secret, body.encode(), hashlib.sha256).digest() if secret is not None else b""
    return f"{body}.{encoded(signature)}"


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA, "RS256", "rsa"), (EC, "ES256", "ec")])
async def test_a_good_token_names_its_caller_and_gives_scopes(oidc: Oidc, key: Any, algorithm: str, kid: str) -> None:
    found = await oidc.caller(signed(claims(groups=["graders", "unknown"]), key, algorithm, kid))
    assert (found.name, found.scopes) == ("oidc:ana", {"grader", "inference:read"})


async def test_a_key_that_names_no_algorithm_serves_those_of_its_kind_that_are_taken(tmp_path: Path) -> None:
    keys = jwks()
    del keys["keys"][0]["alg"]
    (tmp_path / "jwks.json").write_text(json.dumps(keys))
    oidc = Oidc(settings(tmp_path / "jwks.json", algorithms=["RS512", "PS256", "ES256"]))
    for algorithm in ("RS512", "PS256"):
        assert (await oidc.caller(signed(claims(), RSA, algorithm))).name == "oidc:ana"
    with pytest.raises(CandorError):
        await oidc.caller(signed(claims(), RSA, "RS256"))


PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
FORGED = {
    "no signature (alg none)": by_hand({"alg": "none", "kid": "rsa"}, claims(), None),
    "alg None, spelt otherwise": by_hand({"alg": "nOnE", "kid": "rsa"}, claims(), None),
    "HS256 with the public key as the secret": by_hand({"alg": "HS256", "kid": "rsa"}, claims(), PEM),
    "HS256 with a symmetric key of the set": by_hand({"alg": "HS256", "kid": "oct"}, claims(), SECRET.encode()),
    "RS256 in the header, an HMAC as the signature": by_hand({"alg": "RS256", "kid": "rsa"}, claims(), PEM),
    "another's key": signed(claims(), STRANGER),
    "another's key that the token brings along": jwt.encode(
        claims(),
        STRANGER,
        algorithm="RS256",
        headers={"kid": "rsa", "jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(STRANGER.public_key()))},
    ),
    "an algorithm that is not the key's": signed(claims(), RSA, "PS256"),
    "an algorithm that is not taken": signed(claims(), RSA, "RS512"),
    "an unknown kid": signed(claims(), kid="other"),
    "no kid": signed(claims(), kid=None),
    "a kid that is a path": signed(claims(), kid="../../dev/null"),
    "another audience": signed(claims(aud="other")),
    "no audience": signed(claims(aud=None)),
    "another issuer": signed(claims(iss="https://id.example.org.evil/")),
    "no issuer": signed(claims(iss=None)),
    "expired": signed(claims(exp=int(time.time()) - 31)),
    "no expiry": signed(claims(exp=None)),
    "not valid yet": signed(claims(nbf=int(time.time()) + 3000)),
    "no subject": signed(claims(sub=None)),
    "a changed payload": ".".join(
        part if index != 1 else signed(claims(sub="root")).split(".")[1]
        for index, part in enumerate(signed(claims()).split("."))
    ),
    "an extension that must be understood": jwt.encode(
        claims(), RSA, algorithm="RS256", headers={"kid": "rsa", "crit": ["exp"], "exp": 1}
    ),
    "no JSON": "a.b.c",
    "too long": "a" * 20_000 + ".b.c",
}


@pytest.mark.parametrize("forgery", FORGED)
async def test_a_forged_or_stale_token_is_refused_and_not_repeated(oidc: Oidc, forgery: str) -> None:
    with pytest.raises(CandorError) as caught:
        await oidc.caller(FORGED[forgery])
    assert caught.value.reason is Reason.CALLER_UNAUTHENTICATED
    assert FORGED[forgery] not in str(caught.value)


async def test_clocks_may_differ_by_the_leeway(oidc: Oidc) -> None:
    assert (await oidc.caller(signed(claims(exp=int(time.time()) - 20)))).name == "oidc:ana"


async def test_a_subject_cannot_write_into_logs(oidc: Oidc) -> None:
    found = await oidc.caller(signed(claims(sub="ana\nlevel=info admin" + "x" * 1000)))
    assert found.name.startswith("oidc:ana?level=info?admin")
    assert len(found.name) <= 128


@pytest.mark.parametrize(
    ("claim", "given", "scopes"),
    [
        ("scope", {"scope": "openid graders"}, {"grader", "inference:read"}),
        ("sub", {"sub": "evaluators"}, {"orchestrator:write"}),
        ("sub", {"sub": "someone evaluators"}, set()),  # a name is no list
        ("realm_access.roles", {"realm_access": {"roles": ["evaluators"]}}, {"orchestrator:write"}),
        ("https://candor.dev/roles", {"https://candor.dev/roles": ["evaluators"]}, {"orchestrator:write"}),
        ("groups", {"groups": {"evaluators": True}}, set()),
        ("groups", {"groups": None}, set()),
    ],
)
async def test_scopes_come_from_the_claim(tmp_path: Path, claim: str, given: dict[str, Any], scopes: set[str]) -> None:
    (tmp_path / "jwks.json").write_text(json.dumps(jwks()))
    oidc = Oidc(settings(tmp_path / "jwks.json", claim=claim))
    assert (await oidc.caller(signed(claims(**given)))).scopes == scopes


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"audience": ""}, "audience is missing"),
        ({"issuer": ""}, "issuer is missing"),
        ({"jwks_file": None}, "give jwks_url or jwks_file"),
        ({"jwks_url": "https://id.example.org/keys"}, "give jwks_url or jwks_file"),
        ({"jwks_file": None, "jwks_url": "http://id.example.org/keys"}, "https"),
        ({"algorithms": ["HS256"]}, "RS256"),
        ({"algorithms": ["none"]}, "RS256"),
        ({"algorithms": []}, "RS256"),
        ({"scopes": {}}, "scopes are missing"),
        ({"scopes": {"evaluators": ["everything"]}}, "is no scope"),
    ],
)
def test_settings_that_would_let_the_wrong_in_are_refused(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        settings(tmp_path, **changes)


def test_a_file_of_keys_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    for content in ("{}", "[]", "no json", json.dumps({"keys": [jwks()["keys"][2]]})):
        path.write_text(content)
        with pytest.raises(CandorError, match=r"jwks\.json"):
            Oidc(settings(path))
