"""The file of callers and their scopes."""

import hashlib
import json
from pathlib import Path

import pytest

from chassis.auth import scopes
from chassis.auth.callers import Caller, callers_file, read_callers
from chassis.errors import CandorError

DIGEST = hashlib.sha256(b"secret").hexdigest()
GRADE = "/candor.grader.v1.GraderService/GradeAnswers"
INFO = "/candor.grader.v1.GraderService/GetGraderInfo"
CREATE = "/candor.orchestrator.v1.OrchestratorService/CreateEvaluation"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("*", {GRADE, INFO, CREATE}),
        ("grader", {GRADE, INFO}),
        ("grader:read", {INFO}),
        ("grader:write", {GRADE, INFO}),
        ("grader/GradeAnswers", {GRADE}),
        ("orchestrator:write", {CREATE}),
        ("orchestrator:read", set()),
    ],
)
def test_a_scope_allows_its_methods_and_no_other(scope: str, allowed: set[str]) -> None:
    assert not scopes.wrong(scope)
    assert {method for method in (GRADE, INFO, CREATE) if scopes.allows([scope], method)} == allowed
    assert scopes.allows([scope], REFLECTION)  # of every caller who is known


def test_the_scope_that_is_missing_is_the_smallest() -> None:
    assert [scopes.needed(method) for method in (GRADE, INFO, CREATE)] == [
        "grader:write",
        "grader:read",
        "orchestrator:write",
    ]


@pytest.mark.parametrize("scope", ["", "graders", "grader:admin", "grader/", "grader.GradeAnswers", "Grader", "**"])
def test_what_is_no_scope_is_said(scope: str) -> None:
    assert "SERVICE:read" in scopes.wrong(scope)


def test_several_tokens_of_one_caller_are_all_taken() -> None:
    other = hashlib.sha256(b"next").hexdigest()
    content = json.dumps({"team": {"token_sha256": [DIGEST, other], "scopes": "grader"}}).encode()
    team = Caller(name="team", scopes=frozenset({"grader"}))
    assert read_callers(content).by_token == {DIGEST: team, other: team}


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"token_sha256": "secret", "scopes": ["grader"]}, "never the token itself"),
        ({"token_sha256": DIGEST}, "team.scopes"),
        ({"token_sha256": DIGEST, "scopes": []}, "team.scopes"),
        ({"token_sha256": DIGEST, "scopes": ["graders"]}, "'graders' is no scope"),
        ({"scopes": ["grader"]}, "give token_sha256 or certificates"),
        ({"token_sha256": DIGEST, "scopes": ["grader"], "limit": {}}, "team.limit"),
        ({"token_sha256": DIGEST, "scopes": ["grader"], "limits": {"calls_per_second": 0}}, "calls_per_second"),
    ],
)
def test_a_bad_entry_is_named_and_its_token_is_not(entry: dict[str, object], named: str) -> None:
    with pytest.raises(CandorError) as caught:
        read_callers(json.dumps({"team": entry}).encode())
    assert named in str(caught.value)
    assert "secret" not in str(caught.value).replace("never the token itself", "")


def test_two_callers_with_one_token_and_names_that_are_none_are_refused() -> None:
    entry = {"token_sha256": DIGEST, "scopes": ["grader"]}
    with pytest.raises(CandorError, match="b: shares a token or certificate with a"):
        read_callers(json.dumps({"a": entry, "b": entry}).encode())
    with pytest.raises(CandorError, match="a name has letters"):
        read_callers(json.dumps({"two words": entry}).encode())


def test_the_file_is_read_again_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "callers.json"
    path.write_text(json.dumps({"team": {"token_sha256": DIGEST, "scopes": ["grader"]}}))
    watched = callers_file(path)
    path.write_text("{")
    assert watched.get().by_token[DIGEST].scopes == {"grader"}
    path.write_text(json.dumps({"team": {"token_sha256": DIGEST, "scopes": ["inference", "grader"]}}))
    assert watched.get().by_token[DIGEST].scopes == {"grader", "inference"}
    path.unlink()
    assert watched.get().by_token[DIGEST].scopes == {"grader", "inference"}


def test_a_file_that_cannot_be_used_at_the_start_is_named(tmp_path: Path) -> None:
    (tmp_path / "callers.json").write_text("[]")
    with pytest.raises(CandorError, match=r"callers\.json: the file of callers cannot be used"):
        callers_file(tmp_path / "callers.json")
