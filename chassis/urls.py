"""What a usable base URL of an endpoint is, and its one spelling."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def http_parts(url: str) -> SplitResult | None:
    """The parts of an http or https URL with a host and a port that exists; None for anything else."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def url_problem(base_url: str) -> str:
    """What is wrong with the base URL of an endpoint, as the rest of a sentence about it; empty if nothing is."""
    parts = http_parts(base_url)
    if parts is None:
        return "is not an http or https URL, for example http://localhost:8000/v1"
    if parts.username or parts.password:
        return "holds a user name or password; use api_key_env or credential"
    return "must not have a query or fragment" if parts.query or parts.fragment else ""


def normal_url(base_url: str) -> str:
    """One spelling of a URL: lower-case host, no trailing slash, no default port; what is no URL stays as it is."""
    parts = http_parts(base_url)
    if parts is None:
        return base_url
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path.rstrip('/')}"
