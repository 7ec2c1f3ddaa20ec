"""Which components go together, for tests that render every pair of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations

import yaml

from tools.manifests.render import K8S

# One of each, and the one that is taken where a test names none.
CHOICES = (("plaintext", "tls"), ("postgres-trial", "postgres"))
# Which others a component builds on, and which it cannot go with.
NEEDS = {"autoscaling": ("gpu",), "callers": ("tls",)}
EXCLUDES = {frozenset(pair) for pair in (*CHOICES, ("model-cache", "model-image"), ("gpu", "one-node"))}
# The order in which overlays list them: `gpu` first, because it adds a workload, `one-node` after `model-cache`, because it
# changes its claim, `images` last, because it names them all.
ORDER = (
    *(
        "gpu",
        "plaintext",
        "tls",
        "callers",
        "postgres-trial",
        "postgres",
        "model-cache",
        "model-image",
        "one-node",
        "small",
    ),
    *("trial-models", "network-policy", "metrics", "autoscaling", "kueue", "images"),
)


def components() -> set[str]:
    """All that there are."""
    return {path.parent.name for path in (K8S / "components").glob("*/kustomization.yaml")}


@cache
def images() -> frozenset[str]:
    """Every image of ours, as components/images names it."""
    text = (K8S / "components" / "images" / "kustomization.yaml").read_text(encoding="utf-8")
    return frozenset(f"{each['name']}:{each['newTag']}" for each in yaml.safe_load(text)["images"])


def pairs() -> Iterator[tuple[str, ...]]:
    """Every pair that makes sense, with what it needs to be whole, in order."""
    found = dict.fromkeys(completed(pair) for pair in combinations(ORDER[:-1], 2))
    return (chosen for chosen in found if not any(excluded <= set(chosen) for excluded in EXCLUDES))


def completed(some: tuple[str, ...]) -> tuple[str, ...]:
    """These components, those that they need, one of each choice, and the images."""
    chosen = {*some, "images", *(need for name in some for need in NEEDS.get(name, ()))}
    chosen |= {choice[0] for choice in CHOICES if not chosen & set(choice)}
    return tuple(name for name in ORDER if name in chosen)
