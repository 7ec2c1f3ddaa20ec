"""Who may do what: bearer tokens, and the rules of Roles as manifests have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chassis.testing.fake_kubernetes import errors
from chassis.testing.fake_kubernetes.targets import Target


@dataclass(frozen=True)
class Account:
    """A caller.

    Attributes:
        user: Its name, such as `system:serviceaccount:candor:trainer`.
        rules: `rules` of its Roles and ClusterRoles; None may do everything.
        namespace: Where the rules hold; empty everywhere.
    """

    user: str
    rules: Sequence[dict[str, Any]] | None = None
    namespace: str = ""

    def check(self, target: Target) -> None:
        """Refuse with 403 what no rule allows."""
        if self.rules is None or any(self._allows(rule, target) for rule in self.rules):
            return
        kind, sub = target.kind, f"/{target.subresource}" if target.subresource else ""
        name = f' "{target.name}"' if target.name else ""
        where = f' in the namespace "{target.namespace}"' if target.namespace else " at the cluster scope"
        message = (
            f'{kind.qualified}{name} is forbidden: User "{self.user}" cannot {target.verb} resource '
            f'"{kind.plural}{sub}" in API group "{kind.group}"{where}'
        )
        about = {**({"name": target.name} if target.name else {}), "kind": kind.plural}
        about |= {"group": kind.group} if kind.group else {}
        raise errors.ApiError(403, "Forbidden", message, about)

    def _allows(self, rule: dict[str, Any], target: Target) -> bool:
        if self.namespace and target.namespace != self.namespace:
            return False
        resource = target.kind.plural + (f"/{target.subresource}" if target.subresource else "")
        names = rule.get("resourceNames")
        return (
            _has(rule.get("apiGroups", []), target.kind.group)
            and _has(rule.get("resources", []), resource)
            and _has(rule.get("verbs", []), target.verb)
            and (not names or target.name in names)
        )


def _has(allowed: Sequence[str], wanted: str) -> bool:
    return "*" in allowed or wanted in allowed


@dataclass
class Accounts:
    """Callers by token. Without any, nobody needs a token."""

    by_token: dict[str, Account] = field(default_factory=dict)

    def of(self, authorization: str) -> Account:
        """The caller with this header."""
        if not self.by_token:
            return Account("system:admin")
        account = self.by_token.get(authorization.removeprefix("Bearer ").strip())
        if account is None:
            raise errors.ApiError(401, "Unauthorized", "Unauthorized")
        return account
