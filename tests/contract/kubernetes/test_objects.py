"""Create, read, update, patch and delete: what the executor and the operator rely on."""

from __future__ import annotations

import secrets

import pytest

from chassis.testing.fake_kubernetes import Hands
from tests.contract.kubernetes.objects import absent, config, job, refused, until


def test_discovery_names_versions_groups_and_subresources(hands: Hands) -> None:
    assert hands.client.get("/version")["major"] == "1"
    assert hands.client.get("/api")["versions"] == ["v1"]
    groups = {each["name"]: each["preferredVersion"]["version"] for each in hands.client.get("/apis")["groups"]}
    assert groups["batch"] == "v1"
    resources = {each["name"]: each for each in hands.client.get("/apis/batch/v1")["resources"]}
    assert resources["jobs"]["kind"] == "Job"
    assert resources["jobs"]["singularName"] == "job"
    assert resources["jobs"]["namespaced"] is True
    assert {"create", "get", "list", "watch", "patch", "update", "delete"} <= set(resources["jobs"]["verbs"])
    assert "jobs/status" in resources


def test_a_created_object_has_uid_version_and_time(hands: Hands) -> None:
    made = hands.client.create(f"{hands.core}/configmaps", config())
    metadata = made["metadata"]
    assert metadata["uid"]
    assert int(metadata["resourceVersion"]) > 0
    assert metadata["creationTimestamp"].endswith("Z")
    assert metadata["namespace"] == hands.namespace
    assert (made["kind"], made["apiVersion"]) == ("ConfigMap", "v1")
    assert hands.client.get(f"{hands.core}/configmaps/c")["metadata"]["uid"] == metadata["uid"]


def test_generate_name_appends_five_characters(hands: Hands) -> None:
    body = {"metadata": {"generateName": "run-"}, "data": {}}
    names = {hands.client.create(f"{hands.core}/configmaps", body)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("run-") and len(name) == 9 for name in names)


def test_refusals_are_worded_as_clients_read_them(hands: Hands) -> None:
    configs = f"{hands.core}/configmaps"
    hands.client.create(configs, config())
    assert refused(lambda: hands.client.create(configs, config()), 409, "AlreadyExists") == (
        'configmaps "c" already exists'
    )
    assert refused(lambda: hands.client.get(f"{configs}/none"), 404, "NotFound") == 'configmaps "none" not found'
    assert refused(lambda: hands.client.get(f"{hands.batch}/jobs/none"), 404, "NotFound") == (
        'jobs.batch "none" not found'
    )
    nowhere = "/api/v1/namespaces/candor-no-such-namespace/configmaps"
    assert refused(lambda: hands.client.create(nowhere, config()), 404, "NotFound") == (
        'namespaces "candor-no-such-namespace" not found'
    )
    text = refused(lambda: hands.client.create(configs, config("Bad_Name")), 422, "Invalid")
    assert text.startswith('ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase')
    labelled = config("d", labels={"a": "no spaces here"})
    text = refused(lambda: hands.client.create(configs, labelled), 422, "Invalid")
    assert 'metadata.labels: Invalid value: "no spaces here": a valid label must be' in text
    unknown = f"/apis/batch/v1/namespaces/{hands.namespace}/nothings"
    assert refused(lambda: hands.client.get(unknown), 404, "NotFound") == (
        "the server could not find the requested resource"
    )
    assert refused(lambda: hands.client.call("POST", f"{configs}/c", config()), 405, "MethodNotAllowed") == (
        "the server does not allow this method on the requested resource"
    )


def test_a_stale_update_conflicts_and_an_update_without_a_version_does_not(hands: Hands) -> None:
    configs = f"{hands.core}/configmaps"
    first = hands.client.create(configs, config())
    second = hands.client.update(f"{configs}/c", first | {"data": {"a": "2"}})
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    message = refused(lambda: hands.client.update(f"{configs}/c", first | {"data": {"a": "3"}}), 409, "Conflict")
    assert message == (
        'Operation cannot be fulfilled on configmaps "c": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert hands.client.update(f"{configs}/c", config())["data"] == {"a": "1", "b": "2"}


def test_an_update_that_changes_nothing_is_no_write(hands: Hands) -> None:
    first = hands.client.create(f"{hands.core}/configmaps", config())
    again = hands.client.patch(f"{hands.core}/configmaps/c", {"data": {"a": "1"}})
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_merge_patch_joins_maps_and_null_removes(hands: Hands) -> None:
    hands.client.create(f"{hands.core}/configmaps", config())
    patched = hands.client.patch(f"{hands.core}/configmaps/c", {"data": {"a": None, "c": "3"}})
    assert patched["data"] == {"b": "2", "c": "3"}
    stale = {"metadata": {"resourceVersion": "1"}, "data": {"d": "4"}}
    refused(lambda: hands.client.patch(f"{hands.core}/configmaps/c", stale), 409, "Conflict")


def test_json_patch_tests_before_it_changes(hands: Hands) -> None:
    path = f"{hands.core}/configmaps/c"
    hands.client.create(f"{hands.core}/configmaps", config())
    good = [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "replace", "path": "/data/a", "value": "9"}]
    assert hands.client.patch(path, good, "json")["data"]["a"] == "9"
    assert "the server rejected our request due to an error in our request" in refused(
        lambda: hands.client.patch(path, good, "json"), 422, "Invalid"
    )


def test_strategic_merge_joins_lists_by_their_key(hands: Hands) -> None:
    hands.client.create(f"{hands.batch}/jobs", job())
    path = f"{hands.batch}/jobs/j/status"
    for kind in ("First", "Second"):
        condition = {"type": kind, "status": "True"}
        patched = hands.client.patch(path, {"status": {"conditions": [condition]}}, "strategic")
    types = {each["type"] for each in patched["status"]["conditions"]}
    assert {"First", "Second"} <= types


def test_generation_counts_specifications_and_status_has_its_own_path(hands: Hands) -> None:
    made = hands.client.create(f"{hands.batch}/jobs", job() | {"status": {"failed": 7}})
    path = f"{hands.batch}/jobs/j"
    assert made["metadata"]["generation"] == 1
    assert "failed" not in made["status"]
    assert hands.client.patch(path, {"status": {"failed": 7}}).get("status", {}).get("failed") is None
    told = hands.client.patch(f"{path}/status", {"status": {"ready": 0, "terminating": 0}, "spec": {"suspend": False}})
    assert told["metadata"]["generation"] == 1
    assert told["spec"]["suspend"] is True
    labelled = hands.client.patch(path, {"metadata": {"labels": {"x": "y"}}})
    assert labelled["metadata"]["generation"] == 1
    assert hands.client.patch(path, {"spec": {"backoffLimit": 2}})["metadata"]["generation"] == 2


def test_a_jobs_template_and_restart_policy_are_checked(hands: Hands) -> None:
    wrong = job()
    del wrong["spec"]["template"]["spec"]["restartPolicy"]
    text = refused(lambda: hands.client.create(f"{hands.batch}/jobs", wrong), 422, "Invalid")
    assert text.startswith('Job.batch "j" is invalid:')
    assert 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"' in text
    wrong = job()
    wrong["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = [{"name": "none", "mountPath": "/x"}]
    text = refused(lambda: hands.client.create(f"{hands.batch}/jobs", wrong), 422, "Invalid")
    assert 'spec.template.spec.containers[0].volumeMounts[0].name: Not found: "none"' in text
    made = hands.client.create(f"{hands.batch}/jobs", job(suspend=False))
    assert made["spec"]["template"]["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "j"
    assert (made["spec"]["completions"], made["spec"]["parallelism"], made["spec"]["backoffLimit"]) == (1, 1, 6)
    change = {"spec": {"template": {"spec": {"priority": 7}}}}
    assert "field is immutable" in refused(lambda: hands.client.patch(f"{hands.batch}/jobs/j", change), 422, "Invalid")


def test_lists_select_by_label_and_field_and_come_in_pieces(hands: Hands) -> None:
    configs = f"{hands.core}/configmaps"
    for name, tier in (("k1", "gold"), ("k2", "silver"), ("k3", "gold"), ("k4", "tin")):
        hands.client.create(configs, config(name, labels={"tier": tier}))

    def names(**query: str) -> list[str]:
        return [each["metadata"]["name"] for each in hands.client.get(configs, **query)["items"]]

    assert names(labelSelector="tier=gold") == ["k1", "k3"]
    assert names(labelSelector="tier in (gold, tin),tier!=tin") == ["k1", "k3"]
    assert names(labelSelector="tier notin (gold),tier") == ["k2", "k4"]
    assert names(fieldSelector="metadata.name=k2") == ["k2"]
    assert "field label not supported: spec.x" in refused(
        lambda: hands.client.get(f"{hands.core}/pods", fieldSelector="spec.x=1"), 400, "BadRequest"
    )
    first = hands.client.get(configs, limit=2, labelSelector="tier")
    assert [each["metadata"]["name"] for each in first["items"]] == ["k1", "k2"]
    hands.client.delete(f"{configs}/k3")
    second = hands.client.get(configs, limit=2, labelSelector="tier", **{"continue": first["metadata"]["continue"]})
    assert [each["metadata"]["name"] for each in second["items"]] == ["k3", "k4"], "the list of one moment"
    assert "kind" not in first["items"][0], "items of the API's own lists tell no kind"
    assert first["kind"] == "ConfigMapList"


def test_deletion_waits_for_finalizers(hands: Hands) -> None:
    path = f"{hands.core}/configmaps/c"
    made = hands.client.create(f"{hands.core}/configmaps", config(finalizers=["candor.dev/hold"]))
    gone = hands.client.delete(path)
    assert gone["metadata"]["deletionTimestamp"]
    assert hands.client.get(path)["metadata"]["uid"] == made["metadata"]["uid"]
    more = {"metadata": {"finalizers": ["candor.dev/hold", "candor.dev/more"]}}
    assert "no new finalizers can be added if the object is being deleted" in refused(
        lambda: hands.client.patch(path, more), 422, "Invalid"
    )
    hands.client.patch(path, {"metadata": {"finalizers": None}})
    assert absent(hands.client, path)


def test_deletion_can_insist_on_an_identity(hands: Hands) -> None:
    hands.client.create(f"{hands.core}/configmaps", config())
    path, other = f"{hands.core}/configmaps/c", {"uid": "00000000-0000-0000-0000-000000000000"}
    assert f"the UID in the precondition ({other['uid']}) does not match the UID in record" in refused(
        lambda: hands.client.delete(path, preconditions=other), 409, "Conflict"
    )
    told = hands.client.delete(path)
    assert (told["status"], told["details"]["kind"]) == ("Success", "configmaps")


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_what_an_owner_leaves_is_collected(hands: Hands, propagation: str) -> None:
    configs = f"{hands.core}/configmaps"
    owner = hands.client.create(configs, config("owner"))["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    hands.client.create(configs, config("owned", ownerReferences=[reference | {"blockOwnerDeletion": True}]))
    hands.client.delete(f"{configs}/owner", propagationPolicy=propagation)
    until(lambda: absent(hands.client, f"{configs}/owned"))
    until(lambda: absent(hands.client, f"{configs}/owner"))


def test_orphans_lose_their_owner_and_stay(hands: Hands) -> None:
    configs = f"{hands.core}/configmaps"
    owner = hands.client.create(configs, config("owner"))["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    hands.client.create(configs, config("owned", ownerReferences=[reference]))
    hands.client.delete(f"{configs}/owner", propagationPolicy="Orphan")
    until(lambda: absent(hands.client, f"{configs}/owner"))
    assert "ownerReferences" not in hands.client.get(f"{configs}/owned")["metadata"]


def test_a_job_that_is_deleted_without_a_word_leaves_its_pods(hands: Hands) -> None:
    """batch/v1 orphans by default, for compatibility: a client has to ask for Background."""
    owner = hands.client.create(f"{hands.batch}/jobs", job())["metadata"]
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": owner["uid"]}
    hands.client.create(f"{hands.core}/configmaps", config("owned", ownerReferences=[reference]))
    hands.client.delete(f"{hands.batch}/jobs/j")
    until(lambda: absent(hands.client, f"{hands.batch}/jobs/j"))
    assert hands.client.get(f"{hands.core}/configmaps/owned")["data"]


def test_a_namespace_takes_its_contents_along_and_takes_no_more(hands: Hands) -> None:
    name = f"candor-contract-{secrets.token_hex(4)}"
    place = f"/api/v1/namespaces/{name}"
    hands.client.create("/api/v1/namespaces", {"metadata": {"name": name}})
    hands.client.create(f"{place}/configmaps", config(finalizers=["candor.dev/hold"]))
    hands.client.delete(place)
    until(lambda: hands.client.get(place)["status"]["phase"] == "Terminating")
    assert "because it is being terminated" in refused(
        lambda: hands.client.create(f"{place}/configmaps", config("late")), 403, "Forbidden"
    )
    until(lambda: "deletionTimestamp" in hands.client.get(f"{place}/configmaps/c")["metadata"])
    hands.client.patch(f"{place}/configmaps/c", {"metadata": {"finalizers": None}})
    until(lambda: absent(hands.client, place), seconds=60)


def test_a_lease_is_renewed_only_with_its_version(hands: Hands) -> None:
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{hands.namespace}/leases"
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15}
    made = hands.client.create(leases, {"metadata": {"name": "l"}, "spec": spec})
    renewed = hands.client.update(f"{leases}/l", made | {"spec": spec | {"holderIdentity": "b"}})
    assert renewed["spec"]["holderIdentity"] == "b"
    refused(lambda: hands.client.update(f"{leases}/l", made), 409, "Conflict")
    blind = {"metadata": {"name": "l"}, "spec": spec}
    assert "metadata.resourceVersion: Invalid value:" in refused(
        lambda: hands.client.update(f"{leases}/l", blind), 422, "Invalid"
    )
