"""Which files of a hub repository hold a configuration and split: by the ways in which such repositories are laid out.

`config/split-00000-of-00001.parquet`, `data/split-...`, `split.jsonl`, `some_name_split.jsonl`, and the automatic
conversion `config/split/0000.parquet`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from services.orchestrator.domain.tasks.reader import suffix_of

_PREFERRED = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".json")
_SPLITS = ("test", "validation", "valid", "dev", "train")
_SHARD = re.compile(r"-\d{5}-of-\d{5}(?:-[0-9a-f]+)?|/\d{4}(?=\.parquet$)")
_NOT_DATA = ("readme", "dataset_info", "dataset_infos", "metadata", "config", "state")


def parse(hub: str) -> tuple[str, str, str, str]:
    """(id, configuration, split, revision) of `owner/name:config/split@revision`; what is absent is empty."""
    rest, _, revision = hub.partition("@")
    identity, _, part = rest.partition(":")
    config, _, split = part.partition("/")
    return identity, config, split, revision


def choose(files: Sequence[str], config: str, split: str) -> tuple[list[str], str]:
    """The files of one configuration and split in order, or none and what to say about it."""
    data = [name for name in files if _is_data(name)]
    if config:
        data = [name for name in data if config in name.split("/")[:-1]] or [name for name in data if config in name]
    groups: dict[tuple[str, str], list[str]] = {}
    for name in data:
        groups.setdefault((_split_of(name), _SHARD.sub("", name)), []).append(name)
    wanted = [split] if split else [*_SPLITS, ""]
    for word in wanted:
        found = {stem: names for (own, stem), names in groups.items() if own == word}
        if found:
            return _one(found, word)
    if split and set(groups) and all(not own for own, _ in groups):
        return _one({stem: names for (_, stem), names in groups.items()}, "")
    there = ", ".join(sorted(_SHARD.sub("", name) for name in data)[:8]) or "no csv, json, jsonl or parquet file"
    return [], f"has no files of {'/'.join(part for part in (config, split) if part) or 'data'}; it has {there}"


def _one(found: Mapping[str, list[str]], split: str) -> tuple[list[str], str]:
    """The one set of shards in the best format."""
    for suffix in _PREFERRED:
        stems = [stem for stem in found if suffix_of(stem) == suffix]
        if len(stems) == 1:
            return sorted(found[stems[0]]), ""
        if stems:
            names = ", ".join(sorted(stems)[:8])
            return (
                [],
                f"has several sets of files{f' for {split}' if split else ''}: {names}; write owner/name:config/split",
            )
    return [], "has no csv, json, jsonl or parquet file"


def _is_data(name: str) -> bool:
    base = name.rsplit("/", 1)[-1].lower()
    hidden = any(part.startswith(".") for part in name.split("/"))
    return suffix_of(name) in _PREFERRED and not hidden and base.rsplit(".", 1)[0] not in _NOT_DATA


def _split_of(name: str) -> str:
    """The split that a path names in its last folder or its file name; empty when it names none."""
    parts = re.split(r"[^a-z]+", "/".join(name.lower().split("/")[-2:]))
    return next((split for split in _SPLITS if split in parts), "")
