"""The few calls that tests make by hand, to the fake and to a real server alike."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any, Self

import httpx2
from ruamel.yaml import YAML

from chassis.testing.fake_kubernetes.kinds import Object

_FORMS = {"merge": "application/merge-patch+json", "json": "application/json-patch+json"}
_FORMS["strategic"] = "application/strategic-merge-patch+json"


class Refused(Exception):  # noqa: N818 - as a sentence reads
    """An answer that is not 2xx.

    Attributes:
        code: HTTP code.
        status: The body, a Status.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.status: Object = json.loads(text) if text.startswith("{") else {"message": text}


class Client:
    """Blocking calls by path."""

    def __init__(self, http: httpx2.Client) -> None:
        self.http = http

    @classmethod
    def of_kubeconfig(cls, path: Path) -> Self:
        """The cluster and user that a file names."""
        config = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        verify = _tls(cluster, user) if cluster["server"].startswith("https") else True
        return cls(
            httpx2.Client(base_url=cluster["server"], headers=headers, verify=verify, trust_env=False, timeout=30)
        )

    @classmethod
    def of_url(cls, url: str) -> Self:
        """A server that asks for nothing."""
        return cls(httpx2.Client(base_url=url, trust_env=False, timeout=30))

    def call(self, method: str, path: str, body: Any = None, form: str = "application/json", **query: Any) -> Object:
        """Make a call; gives the answer's body.

        Raises:
            Refused: It was not carried out.
        """
        content = None if body is None else json.dumps(body).encode()
        answer = self.http.request(method, path, params=query, content=content, headers={"Content-Type": form})
        if not answer.is_success:
            raise Refused(answer.status_code, answer.text)
        told: Object = answer.json()
        return told

    def get(self, path: str, **query: Any) -> Object:
        """An object or a list."""
        return self.call("GET", path, **query)

    def create(self, path: str, item: Object) -> Object:
        """Create in a collection."""
        return self.call("POST", path, item)

    def update(self, path: str, item: Object) -> Object:
        """Replace."""
        return self.call("PUT", path, item)

    def patch(self, path: str, change: Any, form: str = "merge") -> Object:
        """Change a part: `merge`, `json` or `strategic`."""
        return self.call("PATCH", path, change, _FORMS[form])

    def delete(self, path: str, **options: Any) -> Object:
        """Delete, with `DeleteOptions`."""
        return self.call("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", **options})

    def watch(self, path: str, **query: Any) -> list[Object]:
        """Events of a watch until its `timeoutSeconds` are over."""
        with self.http.stream("GET", path, params={"watch": "true", "timeoutSeconds": 1, **query}) as answer:
            if not answer.is_success:
                raise Refused(answer.status_code, answer.read().decode())
            return [json.loads(line) for line in answer.iter_lines() if line]


def _named(items: list[Object], name: str) -> Object:
    return next(each for each in items if each["name"] == name)


def _tls(cluster: Object, user: Object) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=_content(cluster, "certificate-authority"))
    if "client-certificate" in user or "client-certificate-data" in user:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(_content(user, "client-certificate") + _content(user, "client-key"))
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _content(entry: Object, name: str) -> str:
    data = entry.get(f"{name}-data")
    return base64.b64decode(data).decode() if data else Path(entry[name]).read_text(encoding="utf-8")
