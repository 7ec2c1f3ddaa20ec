"""docs/security.md against the protos and the code: every method under its scope, and an example that is one."""

import importlib
import re
from pathlib import Path

import pytest

from chassis.auth import scopes
from chassis.auth.callers import read_callers

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_service_has_scopes() -> None:
    found = {path.name for path in (Path(__file__).resolve().parents[3] / "services").iterdir() if path.is_dir()}
    assert set(scopes.SERVICES) == found - {"__pycache__"}


@pytest.mark.parametrize("service", scopes.SERVICES)
def test_every_method_stands_under_the_scope_that_it_needs(service: str) -> None:
    module = importlib.import_module(f"candor.{service}.v1.{service}_pb2")
    (found,) = module.DESCRIPTOR.services_by_name.values()
    needed = {method.name: scopes.needed(f"/{found.full_name}/{method.name}") for method in found.methods}
    rows = dict(re.findall(rf"^\| `({service}:(?:read|write))` \| (?:the above, and )?(.*) \|$", PAGE, re.MULTILINE))
    told = {method: scope for scope, methods in rows.items() for method in methods.split(", ")}
    assert told == needed


def test_the_page_names_the_methods_that_have_a_line_in_the_audit_log() -> None:
    audited = set()
    for service in scopes.SERVICES:
        module = importlib.import_module(f"candor.{service}.v1.{service}_pb2")
        (found,) = module.DESCRIPTOR.services_by_name.values()
        audited |= {each.name for each in found.methods if scopes.audited(f"/{found.full_name}/{each.name}")}
    sentence = re.findall(r"one for every call of ([A-Z].*?), one for every call of any", PAGE, re.DOTALL)[0]
    assert set(re.split(r",\s|\sand\s", sentence)) == audited


def test_the_example_of_a_callers_file_is_one() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    callers = read_callers(example.encode())
    assert {caller.name for caller in callers.by_token.values()} == {"nightly", "platform-team"}
