"""What the API server itself says to our manifests."""

from collections.abc import Callable
from typing import Any

import pytest

from tools.manifests.objects import Object

Rendered = Callable[..., list[Object]]
JOBS = ("jobs/evaluate", "jobs/nightly", "jobs/embedded", "jobs/embedded-postgres")


@pytest.mark.parametrize("folder", ["overlays/cpu-only", "overlays/kind", *JOBS])
def test_a_server_side_dry_run_takes_every_object_without_a_warning(
    cluster: Any, rendered: Rendered, definitions: None, folder: str
) -> None:
    objects = rendered(folder)
    done = cluster.apply(*objects, dry_run=True)
    assert done.stdout.count("(server dry run)") == len(objects)
    assert "Warning" not in done.stderr, done.stderr
    assert "would violate PodSecurity" not in done.stderr


def test_applying_twice_changes_nothing(cluster: Any, rendered: Rendered) -> None:
    objects = [
        each for each in rendered("overlays/cpu-only") if each["kind"] in ("ConfigMap", "Service", "ServiceAccount")
    ]
    cluster.apply(*objects)
    before = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in cluster.list("service")}
    cluster.apply(*objects)
    assert {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in cluster.list("service")} == before


def test_our_namespace_refuses_what_the_restricted_profile_refuses(
    cluster: Any, small_pod: Callable[..., Object], image: Callable[[str], str]
) -> None:
    pod = small_pod("too-much", image("cli"), ["true"])
    pod["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    refused = cluster.apply(pod, dry_run=True, check=False)
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr
    assert "privileged" in refused.stderr


def test_a_field_that_does_not_exist_is_refused_by_name(cluster: Any, rendered: Rendered) -> None:
    job = next(each for each in rendered("jobs/evaluate") if each["kind"] == "Job")
    job["spec"]["backofLimit"] = 3
    refused = cluster.apply(job, dry_run=True, check=False)
    assert refused.returncode != 0
    assert "backofLimit" in refused.stderr
