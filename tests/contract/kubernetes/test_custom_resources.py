"""Kinds that a CustomResourceDefinition adds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chassis.testing.fake_kubernetes import Hands, Refused
from tests.contract.kubernetes.objects import DEFINITION, GROUP, WIDGETS, absent, refused, until, widget

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def served(hands: Hands, path: str) -> bool:
    """A new definition takes a moment: its path answers 404, then 429, then lists."""
    try:
        hands.client.get(path)
    except Refused:
        return False
    return True


@pytest.fixture
def widgets(hands: Hands) -> Iterator[str]:
    """The path of a served collection."""
    hands.client.create(DEFINITIONS, DEFINITION)
    path = f"{WIDGETS}/{hands.namespace}/widgets"
    until(lambda: served(hands, path))
    yield path
    hands.client.delete(f"{DEFINITIONS}/widgets.{GROUP}")
    until(lambda: absent(hands.client, f"{DEFINITIONS}/widgets.{GROUP}"))


def test_a_definition_is_established_and_discovered(hands: Hands, widgets: str) -> None:
    status = hands.client.get(f"{DEFINITIONS}/widgets.{GROUP}")["status"]
    assert {each["type"]: each["status"] for each in status["conditions"]}["Established"] == "True"
    resources = {each["name"]: each for each in hands.client.get(f"/apis/{GROUP}/v1")["resources"]}
    assert resources["widgets"]["shortNames"] == ["wdg"]
    assert "widgets/status" in resources
    until(lambda: GROUP in {each["name"] for each in hands.client.get("/apis")["groups"]})


def test_defaults_are_set_and_unknown_fields_dropped(hands: Hands, widgets: str) -> None:
    made = hands.client.create(widgets, widget(other=1, labels={"a": "b"}))
    assert made["spec"] == {"size": 1, "colour": "red", "labels": {"a": "b"}}
    assert hands.client.get(widgets)["items"][0]["kind"] == "Widget", "items of custom lists tell their kind"


def test_values_that_the_schema_refuses_are_named(hands: Hands, widgets: str) -> None:
    def message(**spec: object) -> str:
        return refused(lambda: hands.client.create(widgets, widget(**spec)), 422, "Invalid")

    assert 'spec.colour: Unsupported value: "green": supported values: "red", "blue"' in message(colour="green")
    assert "spec.size in body should be greater than or equal to 1" in message(size=0)
    assert 'spec.size in body must be of type integer: "string"' in message(size="1")
    assert "spec.tags: Too many: 3: must have at most 2 items" in message(tags=["a", "b", "c"])
    missing = {"metadata": {"name": "w"}, "spec": {}, "apiVersion": f"{GROUP}/v1", "kind": "Widget"}
    assert 'Widget.contract.candor.dev "w" is invalid: spec.size: Required value' in refused(
        lambda: hands.client.create(widgets, missing), 422, "Invalid"
    )


def test_status_and_specification_are_kept_apart(hands: Hands, widgets: str) -> None:
    made = hands.client.create(widgets, widget() | {"status": {"phase": "x"}})
    assert "status" not in made
    told = hands.client.patch(f"{widgets}/w/status", {"status": {"phase": "Running"}, "spec": {"size": 5}})
    assert (told["status"], told["spec"]["size"]) == ({"phase": "Running"}, 1)
    assert told["metadata"]["generation"] == 1
    changed = hands.client.patch(f"{widgets}/w", {"status": {"phase": "y"}, "spec": {"size": 5}})
    assert (changed["status"], changed["spec"]["size"]) == ({"phase": "Running"}, 5)
    assert changed["metadata"]["generation"] == 2
    labelled = hands.client.patch(f"{widgets}/w", {"metadata": {"annotations": {"a": "b"}}})
    assert labelled["metadata"]["generation"] == 2


def test_an_update_needs_a_version_and_strategic_patches_are_not_taken(hands: Hands, widgets: str) -> None:
    hands.client.create(widgets, widget())
    text = refused(lambda: hands.client.update(f"{widgets}/w", widget(size=2)), 422, "Invalid")
    assert "metadata.resourceVersion: Invalid value:" in text
    assert "must be specified for an update" in text
    refused(lambda: hands.client.patch(f"{widgets}/w", {"spec": {"size": 2}}, "strategic"), 415, "UnsupportedMediaType")


def test_finalizers_hold_a_resource_and_deletion_counts_as_a_generation(hands: Hands, widgets: str) -> None:
    body = widget()
    body["metadata"]["finalizers"] = ["candor.dev/hold"]
    hands.client.create(widgets, body)
    gone = hands.client.delete(f"{widgets}/w")
    assert gone["metadata"]["generation"] == 2
    patch = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": gone["metadata"]["resourceVersion"]},
        {"op": "remove", "path": "/metadata/finalizers"},
    ]
    hands.client.patch(f"{widgets}/w", patch, "json")
    assert absent(hands.client, f"{widgets}/w")


def test_resources_go_with_their_definition(hands: Hands, widgets: str) -> None:
    hands.client.create(widgets, widget())
    hands.client.delete(f"{DEFINITIONS}/widgets.{GROUP}")
    until(lambda: absent(hands.client, f"{DEFINITIONS}/widgets.{GROUP}"))
    hands.client.create(DEFINITIONS, DEFINITION)
    until(lambda: served(hands, widgets))
    assert hands.client.get(widgets)["items"] == []
