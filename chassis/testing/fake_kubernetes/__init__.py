"""A small Kubernetes API server for tests, faithful where a client can tell: a real HTTP server on loopback.

It keeps objects with resourceVersion, uid and generation, refuses in the real server's words, streams watches, takes
merge, JSON and strategic merge patches, holds finalizers, collects what owners leave, and serves the kinds that a
CustomResourceDefinition adds. It has no controllers: `Hands` does by hand what they and a kubelet would do,
and `Node` runs the Pods of Jobs as processes.

    with FakeKubernetes() as cluster:
        path = cluster.kubeconfig(tmp_path / "kubeconfig", namespace="candor")
        hands = Hands(Client.of_url(cluster.url), "candor")

tests/contract/kubernetes runs the same assertions against this server and, where there is one, a real one.
"""

from chassis.testing.fake_kubernetes.access import Account
from chassis.testing.fake_kubernetes.client import Client, Refused
from chassis.testing.fake_kubernetes.cluster import FakeKubernetes
from chassis.testing.fake_kubernetes.faults import Refusal
from chassis.testing.fake_kubernetes.hands import Hands
from chassis.testing.fake_kubernetes.node import Node

__all__ = ["Account", "Client", "FakeKubernetes", "Hands", "Node", "Refusal", "Refused"]
