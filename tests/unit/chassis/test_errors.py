"""The catalog is complete, and errors survive the wire."""

import pytest

from chassis.errors import CATALOG, CandorError, ExitCode, FieldViolation, Reason, invalid
from chassis.rpc_errors import from_status, to_status


def test_every_reason_has_its_line() -> None:
    assert set(CATALOG) == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_an_error_comes_back_as_it_left(reason: Reason) -> None:
    error = CandorError(
        reason, "what happened", violations=(FieldViolation("arms.v2", "is missing"),), metadata={"host": "a"}
    )
    back = from_status(to_status(error))
    assert (back.reason, back.message, back.violations, dict(back.metadata)) == (
        reason,
        "what happened",
        (FieldViolation("arms.v2", "is missing"),),
        {"host": "a"},
    )
    assert back.retryable is error.retryable


def test_only_what_time_may_mend_is_retryable() -> None:
    temporary = {reason for reason in Reason if reason.entry.exit_code is ExitCode.TEMPORARY}
    assert {reason for reason in Reason if reason.entry.retryable} <= temporary


def test_internal_is_the_status_of_our_own_defects_alone() -> None:
    assert {reason for reason in Reason if reason.entry.status == "INTERNAL"} == {Reason.INTERNAL}


def test_verdict_exit_codes_belong_to_verdicts() -> None:
    verdicts = {ExitCode.PASS, ExitCode.FAIL, ExitCode.INCONCLUSIVE}
    assert not verdicts & {reason.entry.exit_code for reason in Reason}


def test_an_error_reads_with_its_fields() -> None:
    error = invalid("two fields are bad", [FieldViolation("a", "is 1"), FieldViolation("b", "is 2")])
    assert str(error) == "two fields are bad\n  a: is 1\n  b: is 2"
