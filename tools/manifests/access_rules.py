"""Rights in the cluster, callers, images, and kinds of objects."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

from chassis.auth.callers import read_callers
from chassis.errors import CandorError
from tools.manifests.objects import LONG_RUNNING, Object, label, names, of_kind, pods
from tools.manifests.render import K8S
from tools.manifests.settings_rules import environments

CALLERS = K8S / "components" / "callers" / "callers.json"

# Resources of others, by the version that they serve now.
THIRD_PARTIES = {
    ("cert-manager.io/v1", "Certificate"),
    ("cert-manager.io/v1", "Issuer"),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("kopf.dev/v1", "KopfPeering"),
    ("kueue.x-k8s.io/v1beta2", "LocalQueue"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
}
_DANGEROUS = {"escalate", "bind", "impersonate"}
_SECRET = {"secrets", "serviceaccounts/token", "pods/exec", "pods/attach", "nodes/proxy"}


def tokens(objects: Sequence[Object]) -> Iterator[str]:
    """A pod has a token of the API server where its account has rights or it reads an issuer's keys with it, and nowhere else."""
    bound = {
        subject["name"]
        for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding")
        for subject in binding.get("subjects", [])
        if subject["kind"] == "ServiceAccount"
    }
    reading = {
        str(pod)
        for pod, service, environment in environments(objects)
        if f"CANDOR_{service.upper()}_OIDC__JWKS_TOKEN_FILE" in environment
    }
    for account in of_kind(objects, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{label(account)}: automountServiceAccountToken must be false; the pod that needs a token says so"
    for pod in pods(objects):
        needs = pod.spec.get("serviceAccountName", "default") in bound
        has = pod.spec.get("automountServiceAccountToken", True) or any(
            "serviceAccountToken" in source
            for volume in pod.volumes.values()
            for source in volume.get("projected", {}).get("sources", [])
        )
        if has and not needs and str(pod) not in reading:
            yield f"{pod}: has a token of the API server that nothing needs: automountServiceAccountToken: false"
        if needs and not has:
            yield f"{pod}: its account has rights, but the pod gets no token"


def rights(objects: Sequence[Object]) -> Iterator[str]:
    """Roles name what they allow; nobody reads Secrets or gets more rights than they have."""
    for role in of_kind(objects, "Role", "ClusterRole"):
        for rule in role.get("rules", []):
            verbs, resources = set(rule["verbs"]), set(rule.get("resources", []))
            if "*" in verbs | resources | set(rule.get("apiGroups", [])):
                yield f"{label(role)}: names no verbs or resources, but all (*)"
            if found := verbs & _DANGEROUS:
                yield f"{label(role)}: must not {', '.join(sorted(found))}"
            if found := resources & _SECRET:
                yield f"{label(role)}: must not reach {', '.join(sorted(found))}"
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        if binding["roleRef"]["name"] not in names(objects, binding["roleRef"]["kind"]):
            yield f"{label(binding)}: there is no {binding['roleRef']['kind']} {binding['roleRef']['name']}"
        accounts = {
            (each["metadata"]["name"], each["metadata"].get("namespace")) for each in of_kind(objects, "ServiceAccount")
        }
        for subject in binding.get("subjects", []):
            if subject["kind"] != "ServiceAccount" or (subject["name"], subject.get("namespace")) not in accounts:
                where = f" in {subject['namespace']}" if "namespace" in subject else ""
                yield f"{label(binding)}: {subject['kind']} {subject['name']}{where} is no account of ours"


def callers(objects: Sequence[Object]) -> Iterator[str]:
    """A file of callers can be read, and our own pods may call what they must: a file of yours replaces ours."""
    needed = read_callers(CALLERS.read_bytes()).by_certificate
    for secret in of_kind(objects, "Secret"):
        if secret["metadata"]["name"] != "candor-callers":
            continue
        try:
            found = read_callers(base64.b64decode(secret["data"]["callers.json"])).by_certificate
        except CandorError as error:
            yield f"{label(secret)}: {error}"
            continue
        for name in sorted(needed.keys() & names(objects, *LONG_RUNNING)):
            if name not in found or not needed[name].scopes <= found[name].scopes:
                where = CALLERS.relative_to(K8S)
                yield f"{label(secret)}: {name} may not call what it must: keep its entry as {where} has it"


def images(objects: Sequence[Object]) -> Iterator[str]:
    """Every image has a version: a tag other than `latest`, or a digest."""
    for pod in pods(objects):
        for image in pod.images:
            if image.endswith(":latest") or not {":", "@"} & set(image.rpartition("/")[2]):
                yield f"{pod}: image {image} has no version"


def kinds(objects: Sequence[Object]) -> Iterator[str]:
    """Resources of others are at the version that they serve."""
    for each in objects:
        group, slash, _ = each["apiVersion"].partition("/")
        foreign = (slash and "." in group and not group.endswith(".k8s.io")) or group == "kueue.x-k8s.io"
        if foreign and group != "candor.dev" and (each["apiVersion"], each["kind"]) not in THIRD_PARTIES:
            yield f"{label(each)}: {each['apiVersion']} is no version that we know"
