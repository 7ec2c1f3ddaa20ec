"""What our accounts may do, asked of the API server as each of them; and what they must not."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tools.manifests.objects import Object, of_kind

ACCOUNTS = ("orchestrator", "grader", "inference", "rewriter", "trainer", "operator", "default")
NOBODY_MAY = (
    ("get", "secrets"),
    ("list", "secrets"),
    ("create", "pods"),
    ("create", "pods/exec"),
    ("create", "serviceaccounts/token"),
    ("delete", "namespaces"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("escalate", "roles.rbac.authorization.k8s.io"),
    ("impersonate", "serviceaccounts"),
    ("delete", "evaluations.candor.dev"),
    ("update", "customresourcedefinitions.apiextensions.k8s.io"),
    ("delete", "nodes"),
)
WITHOUT_ANY = ("orchestrator", "grader", "inference", "rewriter", "default")


@pytest.fixture
def may(cluster: Any, rights: list[Object], definitions: None) -> Callable[..., bool]:
    def asked(account: str, verb: str, resource: str, *more: str) -> bool:
        subject = f"--as=system:serviceaccount:{cluster.namespace}:{account}"
        done = cluster.run("auth", "can-i", verb, resource, subject, "--quiet", *more, check=False)
        assert done.returncode in (0, 1), done.stderr
        return bool(done.returncode == 0)

    return asked


def allowed(rights: list[Object]) -> Iterator[tuple[str, str, str, list[str]]]:
    """Account, verb, resource and options of everything that our roles allow."""
    for binding in of_kind(rights, "RoleBinding", "ClusterRoleBinding"):
        role = next(
            each
            for each in of_kind(rights, binding["roleRef"]["kind"])
            if each["metadata"]["name"] == binding["roleRef"]["name"]
        )
        for subject in binding["subjects"]:
            for rule in role["rules"]:
                for resource in rule["resources"]:
                    kind, _, sub = resource.partition("/")
                    group = rule["apiGroups"][0]
                    name = rule.get("resourceNames", [""])[0]
                    full = f"{kind}.{group}" if group else kind
                    more = [f"--subresource={sub}"] if sub else []
                    more += ["--all-namespaces"] if binding["kind"].startswith("Cluster") else []
                    for verb in rule["verbs"]:
                        yield subject["name"], verb, f"{full}/{name}" if name else full, more


def test_what_the_roles_say_is_what_the_accounts_may(may: Callable[..., bool], rights: list[Object]) -> None:
    asked = list(allowed(rights))
    assert {account for account, *_ in asked} <= set(ACCOUNTS)
    assert asked
    assert [(account, verb, what) for account, verb, what, more in asked if not may(account, verb, what, *more)] == []


@pytest.mark.parametrize("account", ACCOUNTS)
def test_no_account_reads_secrets_makes_pods_or_gets_more_rights(may: Callable[..., bool], account: str) -> None:
    assert [(verb, what) for verb, what in NOBODY_MAY if may(account, verb, what)] == []


@pytest.mark.parametrize("account", WITHOUT_ANY)
def test_a_service_that_needs_no_api_has_no_rights_there(may: Callable[..., bool], account: str) -> None:
    for verb in ("get", "list", "create", "patch", "delete"):
        for what in ("pods", "jobs.batch", "evaluations.candor.dev", "configmaps", "events"):
            assert not may(account, verb, what), f"{account} may {verb} {what}"


def test_the_operator_has_no_rights_in_another_namespace(cluster: Any, may: Callable[..., bool]) -> None:
    for verb, what in (("list", "evaluations.candor.dev"), ("patch", "evaluations.candor.dev"), ("create", "events")):
        assert not may("operator", verb, what, "--namespace=default")
