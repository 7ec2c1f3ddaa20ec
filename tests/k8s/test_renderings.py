"""Every overlay and every pair of components is what the API server takes and our rules want."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

import kubernetes_validate
import pytest

from tools.manifests.access_rules import THIRD_PARTIES
from tools.manifests.check import findings
from tools.manifests.combinations import ORDER, components, images, pairs
from tools.manifests.objects import Object, pods

# The library reads its 4 MB of definitions anew for each object.
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)

VERSIONS = ("1.34", "1.35", "1.36", "1.37")
PAIRS = list(pairs())


def test_an_overlay_keeps_all_rules(overlay: str, rendered: Callable[[str], list[Object]]) -> None:
    assert findings(rendered(overlay)) == []
    assert {image for pod in pods(rendered(overlay)) for image in pod.images} <= images()


@pytest.mark.parametrize("version", VERSIONS)
def test_an_overlay_is_valid(overlay: str, version: str, rendered: Callable[[str], list[Object]]) -> None:
    for each in rendered(overlay):
        validate(json.dumps(each), version)


@pytest.mark.parametrize("chosen", PAIRS, ids="+".join)
def test_a_pair_of_components_keeps_all_rules_and_is_valid(
    chosen: tuple[str, ...], composed: Callable[[tuple[str, ...]], list[Object]]
) -> None:
    objects = composed(chosen)
    assert findings(objects) == []
    assert {image for pod in pods(objects) for image in pod.images} <= images()
    for version in VERSIONS:
        for each in objects:
            validate(json.dumps(each), version)


def test_every_component_is_in_some_pair() -> None:
    assert components() == set(ORDER) == {name for chosen in PAIRS for name in chosen}


def test_a_field_that_does_not_exist_is_found(rendered: Callable[[str], list[Object]]) -> None:
    service = next(each for each in rendered("kind") if each["kind"] == "Service")
    with pytest.raises(kubernetes_validate.ValidationError, match="publishUnreadyAddresses"):
        validate(json.dumps({**service, "spec": {**service["spec"], "publishUnreadyAddresses": True}}), VERSIONS[0])


@cache
def validate(text: str, version: str) -> None:
    """Raise for an object that this version of Kubernetes would not take; those of others have no schema here."""
    thing = json.loads(text)
    if (thing["apiVersion"], thing["kind"]) not in THIRD_PARTIES and thing["apiVersion"] != "candor.dev/v1alpha1":
        kubernetes_validate.validate(thing, version, strict=True)
