"""Where a service may go, and with which secrets."""

import ipaddress
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from chassis.addresses import Address
from chassis.egress import Credential, Egress, Guard
from chassis.errors import CandorError, Reason


def guard(settings: Egress, **names: str) -> Guard:
    """A guard whose names resolve to these addresses; everything else is 203.0.113.7."""

    async def resolver(host: str) -> Sequence[Address]:
        try:
            return [ipaddress.ip_address(host)]
        except ValueError:
            text = names.get(host.replace(".", "_"), "203.0.113.7")
            return [ipaddress.ip_address(part) for part in text.split()]

    return Guard(settings, resolver)


async def refused(checker: Guard, url: str) -> CandorError:
    with pytest.raises(CandorError) as caught:
        await checker.check_url(url)
    return caught.value


SERVER = Egress(allowed_hosts=("model-v1:8000", "*.corp.example", "api.example"))


@pytest.mark.parametrize(
    "url",
    [
        "http://model-v1:8000/v1",
        "https://a.corp.example/v1",
        "https://a.b.corp.example:444/v1",
        "https://API.example./v1",
    ],
)
async def test_listed_hosts_may_be_called(url: str) -> None:
    await guard(SERVER).check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://model-v1:8001/v1",
        "http://model-v1/v1",
        "http://corp.example/v1",
        "http://evilcorp.example/v1",
        "http://model-v1.evil.example:8000/v1",
        "http://127.0.0.1:8000/v1",
        "http://localhost/v1",
    ],
)
async def test_other_hosts_may_not(url: str) -> None:
    error = await refused(guard(SERVER), url)
    assert error.reason is Reason.HOST_NOT_ALLOWED
    assert "allowed_hosts" in error.message


async def test_addresses_may_be_listed_with_and_without_port() -> None:
    checker = guard(Egress(allowed_hosts=("::1", "[::1]:8000", "10.0.0.5:8000")))
    await checker.check_url("http://[::1]:9/v1")
    await checker.check_url("http://10.0.0.5:8000/v1")
    assert (await refused(checker, "http://10.0.0.5/v1")).reason is Reason.HOST_NOT_ALLOWED


@pytest.mark.parametrize("pattern", ["", "http://a", "a/v1", "a:b", "user@a", "a:99999"])
def test_a_listed_host_that_can_never_match_is_a_settings_error(pattern: str) -> None:
    with pytest.raises(ValidationError):
        Egress(allowed_hosts=(pattern,))


async def test_nothing_is_allowed_by_default() -> None:
    assert (await refused(guard(Egress()), "https://api.example/v1")).reason is Reason.HOST_NOT_ALLOWED


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.1.1",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "100.100.100.200",
        "0.0.0.0",
        "metadata.google.internal",
        "METADATA.google.internal.",
    ],
)
async def test_metadata_and_link_local_addresses_are_refused_whatever_the_settings_say(host: str) -> None:
    for settings in (Egress.embedded(), Egress(allowed_hosts=(host,))):
        error = await refused(guard(settings), f"http://{host}/v1")
        assert error.reason is Reason.HOST_NOT_ALLOWED


async def test_a_harmless_name_that_resolves_to_metadata_is_refused() -> None:
    for settings in (Egress.embedded(), SERVER):
        checker = guard(settings, api_example="203.0.113.9 169.254.169.254")
        error = await refused(checker, "https://api.example/v1")
        assert error.reason is Reason.HOST_NOT_ALLOWED
        assert "metadata" in error.message


async def test_on_a_server_a_listed_name_must_not_lead_to_the_server_itself() -> None:
    assert "itself" in (await refused(guard(SERVER, api_example="127.0.0.1"), "https://api.example/v1")).message
    await guard(Egress(allowed_hosts=("localhost",)), localhost="127.0.0.1").check_url("http://localhost:8000/v1")


async def test_where_a_proxy_resolves_names_the_lists_still_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolver(host: str) -> Sequence[Address]:
        raise AssertionError(f"asked for {host}, which only the proxy knows")

    monkeypatch.setenv("https_proxy", "http://proxy.corp.example:3128")
    monkeypatch.setenv("no_proxy", "direct.example")
    checker = Guard(SERVER, resolver)
    await checker.check_url("https://api.example/v1")
    assert (await refused(checker, "https://other.example/v1")).reason is Reason.HOST_NOT_ALLOWED
    embedded = Guard(Egress.embedded(), resolver)
    assert (await refused(embedded, "https://metadata.google.internal/v1")).reason is Reason.HOST_NOT_ALLOWED
    with pytest.raises(AssertionError, match="direct"):
        await embedded.check_url("https://direct.example/v1")


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "2852039166", "0xa9fea9fe", "169.254.43518"],
)
async def test_a_metadata_address_is_refused_even_where_a_proxy_would_be_asked(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.corp.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    error = await refused(guard(Egress.embedded()), f"http://{host}/latest")
    assert error.reason is Reason.HOST_NOT_ALLOWED
    assert "metadata" in error.message


@pytest.mark.parametrize(
    "address",
    ["::169.254.169.254", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00::"],
)
async def test_a_metadata_address_inside_an_ipv6_address_is_refused(address: str) -> None:
    error = await refused(guard(Egress.embedded(), evil_example=address), "http://evil.example/v1")
    assert "metadata" in error.message


@pytest.mark.parametrize("address", ["64:ff9b:1::cb00:7107", "64:ff9b::cb00:7107", "::1"])
async def test_an_ordinary_address_inside_an_ipv6_address_is_none_of_these(address: str) -> None:
    await guard(Egress.embedded(), some_example=address).check_url("http://some.example/v1")


async def test_loopback_is_open_in_the_embedded_suite() -> None:
    await guard(Egress.embedded()).check_url("http://127.0.0.1:8000/v1")


@pytest.mark.parametrize("url", ["", "ftp://a/v1", "http://", "http://[::1", "http://a:99999/v1", "http://u:p@a/v1"])
async def test_what_is_no_url_is_named(url: str) -> None:
    error = await refused(guard(Egress.embedded()), url)
    assert error.reason is Reason.INVALID_REQUEST
    assert "endpoint.base_url" in error.message


def with_credential(tmp_path: Path, text: str = "s3cret\n") -> Guard:
    file = tmp_path / "key"
    file.write_text(text)
    return guard(Egress(credentials={"judge": Credential(secret_file=file, hosts=("judge.example",))}))


def key_error(checker: Guard, url: str, credential: str = "", api_key_env: str = "") -> CandorError:
    with pytest.raises(CandorError) as caught:
        checker.key(url, credential, api_key_env)
    assert "s3cret" not in str(caught.value)
    return caught.value


def test_a_credential_goes_to_its_hosts_only(tmp_path: Path) -> None:
    checker = with_credential(tmp_path)
    assert checker.key("https://judge.example/v1", "judge", "").get_secret_value() == "s3cret"
    elsewhere = key_error(checker, "https://evil.example/v1", "judge")
    assert elsewhere.reason is Reason.CREDENTIAL_NOT_ALLOWED
    assert "evil.example" in elsewhere.message
    unknown = key_error(checker, "https://judge.example/v1", "other")
    assert unknown.reason is Reason.CREDENTIAL_NOT_ALLOWED
    assert "judge" in unknown.message


def test_an_empty_or_missing_secret_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checker = with_credential(tmp_path, " \n")
    assert key_error(checker, "https://judge.example/v1", "judge").reason is Reason.CREDENTIAL_MISSING
    (tmp_path / "key").unlink()
    assert key_error(checker, "https://judge.example/v1", "judge").reason is Reason.CREDENTIAL_MISSING

    monkeypatch.delenv("CANDOR_TEST_KEY", raising=False)
    from_env = guard(Egress(credentials={"judge": Credential(secret_env="CANDOR_TEST_KEY", hosts=("judge.example",))}))
    assert key_error(from_env, "https://judge.example/v1", "judge").reason is Reason.CREDENTIAL_MISSING
    monkeypatch.setenv("CANDOR_TEST_KEY", "s3cret")
    assert from_env.key("https://judge.example/v1", "judge", "").get_secret_value() == "s3cret"


def test_a_document_may_name_a_variable_in_the_embedded_suite_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_API_KEY", "s3cret")
    refusal = key_error(guard(Egress()), "https://a.example/v1", api_key_env="JUDGE_API_KEY")
    assert refusal.reason is Reason.CREDENTIAL_NOT_ALLOWED
    assert "credential" in refusal.message
    embedded = guard(Egress.embedded())
    assert embedded.key("https://a.example/v1", "", "JUDGE_API_KEY").get_secret_value() == "s3cret"
    monkeypatch.delenv("JUDGE_API_KEY")
    missing = key_error(embedded, "https://a.example/v1", api_key_env="JUDGE_API_KEY")
    assert missing.reason is Reason.CREDENTIAL_MISSING
    assert "JUDGE_API_KEY" in missing.message


def test_a_local_endpoint_needs_no_key() -> None:
    assert guard(Egress.embedded()).key("http://localhost:8000/v1", "", "").get_secret_value() == ""


def test_a_credential_has_one_source_and_at_least_one_host(tmp_path: Path) -> None:
    for values in (
        {"hosts": ("a",)},
        {"hosts": ("a",), "secret_env": "X", "secret_file": tmp_path},
        {"secret_env": "X"},
    ):
        with pytest.raises(ValidationError):
            Credential(**values)


def path_error(checker: Guard, path: str) -> Reason:
    with pytest.raises(CandorError) as caught:
        checker.check_path(path)
    return caught.value.reason


def test_checkpoints_lie_inside_the_roots_after_symlinks(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "model").mkdir(parents=True)
    outside.mkdir()
    (root / "link").symlink_to(outside)
    (outside / "back").symlink_to(root / "model")
    checker = guard(Egress(artifact_roots=(root,)))

    assert checker.check_path("model") == (root / "model").resolve()
    assert checker.check_path(str(root / "model")) == (root / "model").resolve()
    assert checker.check_path(str(outside / "back")) == (root / "model").resolve()
    for path in ("link", str(outside), "../outside", "/etc", str(root / "model" / ".." / ".." / "outside")):
        assert path_error(checker, path) is Reason.PATH_NOT_ALLOWED
    assert path_error(checker, "absent") is Reason.CHECKPOINT_NOT_FOUND
    assert path_error(guard(Egress()), str(root / "model")) is Reason.PATH_NOT_ALLOWED
    assert guard(Egress.embedded()).check_path(str(outside)) == outside.resolve()
