"""Watches: where they begin, what they tell, how they end."""

from __future__ import annotations

from typing import Any

import pytest

from chassis.testing.fake_kubernetes import FakeKubernetes, Hands, Refused
from tests.contract.kubernetes.objects import config

MINE = {"labelSelector": "contract=yes"}


def told(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["type"], each["object"]["metadata"].get("name", "")) for each in events if each["type"] != "BOOKMARK"]


def make(hands: Hands, name: str, tier: str = "x") -> dict[str, Any]:
    labels = {"contract": "yes", "tier": tier}
    return hands.client.create(f"{hands.core}/configmaps", config(name, labels=labels))


def test_a_watch_after_a_list_misses_nothing(hands: Hands) -> None:
    configs = f"{hands.core}/configmaps"
    make(hands, "before")
    start = hands.client.get(configs, **MINE)["metadata"]["resourceVersion"]
    make(hands, "after")
    hands.client.patch(f"{configs}/after", {"data": {"a": "9"}})
    hands.client.delete(f"{configs}/before")
    events = hands.client.watch(configs, resourceVersion=start, **MINE)
    assert told(events) == [("ADDED", "after"), ("MODIFIED", "after"), ("DELETED", "before")]
    versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in events]
    assert versions == sorted(versions)
    assert versions[0] > int(start)
    assert events[2]["object"]["data"], "what was deleted is shown as it was"


def test_a_watch_from_nothing_begins_with_what_there_is(hands: Hands) -> None:
    make(hands, "one")
    make(hands, "two")
    assert told(hands.client.watch(f"{hands.core}/configmaps", **MINE)) == [("ADDED", "one"), ("ADDED", "two")]


def test_an_object_that_leaves_the_selection_is_deleted_for_its_watcher(hands: Hands) -> None:
    made = make(hands, "one", "gold")
    path, query = f"{hands.core}/configmaps", {"labelSelector": "tier=gold"}
    hands.client.patch(f"{path}/one", {"metadata": {"labels": {"tier": "tin"}}})
    hands.client.patch(f"{path}/one", {"metadata": {"labels": {"tier": "gold"}}})
    events = hands.client.watch(path, resourceVersion=made["metadata"]["resourceVersion"], **query)
    assert told(events) == [("DELETED", "one"), ("ADDED", "one")]


def test_one_object_is_watched_by_its_name(hands: Hands) -> None:
    make(hands, "one")
    make(hands, "two")
    events = hands.client.watch(f"{hands.core}/configmaps", fieldSelector="metadata.name=two")
    assert told(events) == [("ADDED", "two")]


def test_initial_events_end_with_a_bookmark(hands: Hands) -> None:
    make(hands, "one")
    query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
    events = hands.client.watch(f"{hands.core}/configmaps", **MINE, **query)
    assert events[0]["type"] == "ADDED"
    mark = events[1]["object"]
    assert events[1]["type"] == "BOOKMARK"
    assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert mark["kind"] == "ConfigMap"


def test_a_version_that_was_compacted_is_told_inside_the_stream(fake: FakeKubernetes, faked: Hands) -> None:
    made = make(faked, "one")
    make(faked, "two")
    fake.compact()
    events = faked.client.watch(f"{faked.core}/configmaps", resourceVersion=made["metadata"]["resourceVersion"])
    assert [each["type"] for each in events] == ["ERROR"]
    assert (events[0]["object"]["code"], events[0]["object"]["reason"]) == (410, "Expired")


def test_a_stale_continue_token_is_gone(fake: FakeKubernetes, faked: Hands) -> None:
    for name in ("one", "two"):
        make(faked, name)
    first = faked.client.get(f"{faked.core}/configmaps", limit=1)
    make(faked, "three")
    fake.compact()
    with pytest.raises(Refused) as caught:
        faked.client.get(f"{faked.core}/configmaps", **{"continue": first["metadata"]["continue"]})
    assert caught.value.code == 410
    assert caught.value.status["reason"] == "Expired"


def test_bookmarks_move_a_quiet_watch_on(fake: FakeKubernetes, faked: Hands) -> None:
    fake.bookmarks(every=0.05)
    start = faked.client.get(f"{faked.core}/pods")["metadata"]["resourceVersion"]
    make(faked, "elsewhere")
    events = faked.client.watch(f"{faked.core}/pods", resourceVersion=start, allowWatchBookmarks="true")
    assert {each["type"] for each in events} == {"BOOKMARK"}
    assert int(events[-1]["object"]["metadata"]["resourceVersion"]) > int(start)
    assert not faked.client.watch(f"{faked.core}/pods", resourceVersion=start), "who does not ask gets none"
