from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from candor_operator.domain.status import (
    MOST_BYTES,
    Condition,
    PastVerdict,
    Status,
    merge_patch,
    read_status,
    size,
    status_fields,
)

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
_NAMES = st.from_regex(r"[a-z0-9-]{1,140}", fullmatch=True)
_CONDITIONS = st.dictionaries(
    st.sampled_from(["Accepted", "Running", "Verdict"]),
    st.builds(
        Condition,
        status=st.sampled_from(["True", "False", "Unknown"]),
        reason=st.sampled_from(["PASS", "SERVICE_UNAVAILABLE"]),
        message=st.text(max_size=2000),
        generation=st.integers(1, 10**6),
        since=st.just(NOW),
    ),
)
_HISTORY = st.lists(
    st.builds(
        PastVerdict,
        evaluation=_NAMES.map(lambda name: f"evaluations/{name}"),
        generation=st.integers(1, 10**6),
        verdict=st.sampled_from(["PASS", "INCONCLUSIVE"]),
        time=st.just(NOW),
    ),
    max_size=20,
)


@given(_NAMES, _CONDITIONS, _HISTORY)
def test_a_status_is_small_whatever_is_in_it_and_reads_back(name: str, conditions: dict, history: list) -> None:
    status = Status(
        observed_generation=7,
        phase="Done",
        evaluation=f"evaluations/{name}",
        schedule="5 " * 64 + "A" * 64,
        conditions=conditions,
        history=history,
    )
    written = status_fields(status)
    assert size(written) <= MOST_BYTES
    found = read_status(written)
    assert status_fields(found) == written
    assert found.history == tuple(history[: len(found.history)]), "the newest stay"


def test_a_transition_is_dated_once() -> None:
    status = Status(observed_generation=1).with_condition("Running", "True", "Running", "first", NOW)
    later = status.with_condition("Running", "True", "Running", "second", NOW + timedelta(hours=1))
    assert later.conditions["Running"].since == NOW
    assert later.conditions["Running"].message == "second"
    ended = later.with_condition("Running", "False", "Done", "", NOW + timedelta(hours=2))
    assert ended.conditions["Running"].since == NOW + timedelta(hours=2)


def test_a_patch_says_what_changed_and_leaves_what_is_not_ours() -> None:
    before = status_fields(Status(observed_generation=1, phase="Running", stage="grading", verdict="PASS"))
    after = status_fields(replace(read_status(before), phase="Done", stage=""))
    assert merge_patch(before | {"kopf": {"progress": {}}}, after) == {"phase": "Done", "stage": None}
    assert merge_patch(after, after) == {}
