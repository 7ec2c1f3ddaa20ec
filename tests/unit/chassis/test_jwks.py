"""Keys from a URL: cached, refreshed, and never fetched in a flood."""

import asyncio
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from chassis.auth.jwks import UrlKeys, parse
from chassis.errors import CandorError, Reason


def jwk(kid: str) -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    found: dict[str, str] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key))
    return found | {"kid": kid}


class Issuer:
    """Serves `keys`; counts fetches; may be away, or wait."""

    def __init__(self) -> None:
        self.keys = [jwk("one")]
        self.fetched = 0
        self.now = 1000.0
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def fetch(self) -> bytes:
        self.fetched += 1
        self.asked.set()
        await self.gate.wait()
        if self.away:
            raise CandorError(Reason.SERVICE_UNAVAILABLE, "https://id.example.org answers 503")
        return json.dumps({"keys": self.keys}).encode()

    def source(self) -> UrlKeys:
        return UrlKeys(self.fetch, 600, lambda: self.now)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", *(f'{{"keys": {keys}}}' for keys in ("5", "null", '"one"', '{"kty": "EC"}', "[3]", '["one"]'))],
)
def test_what_is_no_set_of_keys_is_said(content: str) -> None:
    with pytest.raises(CandorError, match=r"is no JWK set: a JSON object with \"keys\", a list of objects"):
        parse(content.encode())


def test_a_key_that_cannot_be_read_does_not_cost_the_others() -> None:
    broken = [jwk("strange") | {"alg": ["ES256"]}, jwk("cut") | {"x": "AA"}, {"kty": "RSA", "kid": "empty"}]
    assert set(parse(json.dumps({"keys": [*broken, jwk("one")]}).encode())) == {"one"}


async def test_keys_are_fetched_once_for_many_calls_at_once_and_kept() -> None:
    issuer = Issuer()
    source = issuer.source()
    found = await asyncio.gather(*(source.key("one") for _ in range(50)))
    assert all(found)
    assert issuer.fetched == 1


async def test_a_new_key_is_found_and_a_flood_of_unknown_ones_does_not_reach_the_issuer() -> None:
    issuer = Issuer()
    source = issuer.source()
    assert await source.key("one")
    issuer.keys.append(jwk("two"))
    for _ in range(100):
        assert await source.key("nonsense") is None
    assert issuer.fetched == 1
    issuer.now += 11
    assert await source.key("two")
    assert issuer.fetched == 2


async def test_a_key_that_the_issuer_removed_is_refused_by_the_first_call_after_the_refresh_is_due() -> None:
    issuer = Issuer()
    source = issuer.source()
    assert await source.key("one")
    issuer.keys = [jwk("two")]
    issuer.now += 599
    assert await source.key("one")
    issuer.now += 2
    assert await asyncio.gather(*(source.key("one") for _ in range(50))) == [None] * 50
    assert await source.key("two")
    assert issuer.fetched == 2


async def test_while_the_issuer_is_away_known_keys_serve_and_without_any_the_caller_may_try_again() -> None:
    issuer = Issuer()
    source = issuer.source()
    issuer.away = True
    with pytest.raises(CandorError, match=r"tokens cannot be checked now.*answers 503") as caught:
        await source.key("one")
    assert caught.value.retryable
    issuer.away = False
    issuer.now += 11
    assert await source.key("one")
    issuer.away = True
    issuer.now += 601
    assert await source.key("one")


async def test_an_issuer_that_did_not_answer_lately_is_not_waited_for_and_after_a_while_it_is_again() -> None:
    issuer = Issuer()
    source = issuer.source()
    assert await source.key("one")
    issuer.away, issuer.keys = True, [jwk("two")]
    issuer.now += 601
    assert await source.key("one")  # waited for the fetch, which failed
    issuer.now += 11
    issuer.gate.clear()
    assert await source.key("one")  # at once; a fetch is under way
    issuer.gate.set()
    assert await source.key("nonsense") is None  # waited for that fetch, which failed too
    issuer.away = False
    issuer.now += 601
    assert await source.key("one") is None


async def test_a_call_that_is_given_up_does_not_end_the_fetch_of_the_others() -> None:
    issuer = Issuer()
    issuer.gate.clear()
    source = issuer.source()
    first = asyncio.create_task(source.key("one"))
    second = asyncio.create_task(source.key("one"))
    await issuer.asked.wait()
    first.cancel()
    issuer.gate.set()
    assert await second
