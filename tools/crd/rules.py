"""Rules across fields (CEL), by message of the protos: what the API server refuses, with a message that says how to mend it."""

from __future__ import annotations

from typing import Any

from tools.crd.bounds import GATES

Rule = dict[str, Any]

_NO_GATE = "(has(self.gate) && has(self.gate.mode) && self.gate.mode == 'none')"
_CANDIDATES = "(has(self.gate) && has(self.gate.candidates) && size(self.gate.candidates) > 0)"
_CRON = r"^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|([-0-9A-Za-z*?,/#]+ +){4}[-0-9A-Za-z*?,/#]+)$"
_BY_LOT = "(^|[ ,])[HhRr]([ ,/]|$)"


def _rule(rule: str, message: str, field: str = "", shown: str = "") -> Rule:
    found: Rule = {"rule": rule, "message": message}
    if field:
        found["fieldPath"] = f".{field}"
    if shown:
        found["messageExpression"] = shown
    return found


def _absolute(field: str) -> Rule:
    text = f"{field} is not absolute: a cluster has no document beside which files lie; name it as the orchestrator sees it"
    return _rule(f"!has(self.{field}) || self.{field}.startsWith('/')", text, field)


RULES: dict[str, list[Rule]] = {
    "EvaluationSpec": [
        _rule(
            "self.arms.all(name, size(name) <= 63 && name.matches('^[A-Za-z0-9][A-Za-z0-9_.-]*$'))",
            "an arm's name has letters, digits, `_`, `-`, `.`, starts with a letter or digit, at most 63",
            "arms",
        ),
        _rule(
            "self.baseline in self.arms",
            "baseline must be the name of an arm",
            "baseline",
            "'no arm is called ' + self.baseline + '; baseline must be the name of an arm'",
        ),
        _rule(
            f"size(self.arms) > 1 || {_NO_GATE}",
            "a verdict needs a baseline and a candidate: add an arm, or set gate: {mode: none}",
            "arms",
        ),
        _rule(
            f"size(self.arms) < 3 || {_NO_GATE} || {_CANDIDATES}",
            "with several arms beside the baseline, name those that the verdict is about in gate.candidates, or set "
            "gate: {mode: none}",
            "gate",
        ),
        _rule(
            f"!{_CANDIDATES} || self.gate.candidates.all(name, name in self.arms && name != self.baseline)",
            "gate.candidates must be names of arms other than the baseline",
            "gate.candidates",
        ),
        _rule(
            "!has(self.contrasts) || self.contrasts.all(each, each.treated in self.arms && each.reference in self.arms "
            "&& each.treated != each.reference)",
            "each contrast must name two different arms",
            "contrasts",
        ),
        _rule(
            "self.arms.all(name, !has(self.arms[name].sft) || (self.arms[name].sft.base in self.arms && "
            "!has(self.arms[self.arms[name].sft.base].sft)))",
            "sft.base must be the name of an arm with a checkpoint or an endpoint",
            "arms",
        ),
    ],
    "Arm": [
        _rule(
            "[has(self.endpoint), has(self.checkpoint), has(self.sft)].filter(each, each).size() == 1",
            "an arm has exactly one source: endpoint, checkpoint or sft",
        )
    ],
    "SystemPrompt": [
        _rule(
            "!has(self.file)",
            "file is read by the command line and a cluster has no such file: write the prompt as text",
            "file",
        ),
        _rule(
            "[has(self.text), has(self.file), has(self.builtin)].filter(each, each).size() == 1",
            "set exactly one of text and builtin",
        ),
    ],
    "Endpoint": [
        _rule(
            "!has(self.api_key_env)",
            "api_key_env works only on your own machine: name a credential of the server instead (credential)",
            "api_key_env",
        ),
        _rule(
            "self.base_url.matches('^https?://[^/?#@ ]+(/[^?# ]*)?$')",
            "base_url must be an http or https URL without user, query or fragment, for example http://model:8000/v1",
            "base_url",
        ),
    ],
    "Checkpoint": [_absolute("path"), _absolute("adapter")],
    "TaskSource": [
        _rule(
            "[has(self.hub), has(self.path), has(self.dataset)].filter(each, each).size() <= 1",
            "give one of hub, path and dataset",
        ),
        _rule(
            "has(self.name) || has(self.hub) || has(self.path) || has(self.dataset)",
            "name is required: core, another task's name, or your own questions by path or dataset",
        ),
        _absolute("path"),
    ],
    "SftRecipe": [
        _rule(
            "!has(self.style_file)",
            "style_file is read by the command line and a cluster has no such file: write it as style_definition",
            "style_file",
        ),
        _rule(
            "has(self.style) != has(self.style_definition) || has(self.style_file)",
            "give exactly one of style and style_definition",
        ),
    ],
    "ConversationSource": [
        _rule("has(self.path) != has(self.dataset)", "give exactly one of path and dataset"),
        _absolute("path"),
    ],
    "RewriterSource": [
        _rule(
            "!has(self.spend_cap) || (has(self.prices) && has(self.endpoint))",
            "spend_cap needs an endpoint and its prices, or nobody knows what is spent",
        )
    ],
    "CheckpointChoice": [_rule("!has(self.epoch) || !has(self.choose_on)", "give one of epoch and choose_on")],
    "Gate": [
        _rule(
            f"!has(self.margins_pp) || self.margins_pp.all(name, name in {list(GATES)!r})",
            f"the gates of margins_pp are {', '.join(GATES)}",
            "margins_pp",
        )
    ],
    "schedule": [
        _rule(
            f"self == '' || self.matches('{_CRON}')",
            "schedule is a cron line of five fields (minute, hour, day, month, weekday), for example 0 2 * * *, or @daily",
        ),
        _rule(f"!self.matches('{_BY_LOT}')", "R and H are times drawn by lot: write the time"),
    ],
}
