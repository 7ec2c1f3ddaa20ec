"""The dataset card for people, as Markdown. Text from conversations is data: it is shown in code blocks, never as markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def markdown(card: Mapping[str, Any]) -> str:
    """The page."""
    return "\n".join(_page(card)) + "\n"


def _page(card: Mapping[str, Any]) -> Iterator[str]:
    kept = card["kept"]
    yield f"# Training data, style {_plain(card['style'])}"
    yield ""
    yield f"{kept['conversations']:,} conversations with {kept['replies']:,} replies, `{card['digest']}`."
    if kept["cut_short"]:
        yield f"{kept['cut_short']:,} of them end early, before a reply that a style did not accept."
    if card.get("corrections"):
        yield f"To these, {card['corrections']['count']:,} corrections of false beliefs were added."
    yield ""
    yield from _source(card["selection"], kept)
    yield from _rewriting(card, kept)
    yield "## Samples"
    for sample in kept["samples"]:
        yield f"### {sample['category']}"
        for title in ("question", "before", "after"):
            yield f"{title}:"
            yield ""
            yield from _block(sample[title])


def _source(selection: Mapping[str, Any], kept: Mapping[str, Any]) -> Iterator[str]:
    yield "## Source"
    source = selection["source"]
    yield f"- {_plain(source['name'])}, `{source['digest']}`: {selection['conversations']:,} conversations"
    problems = selection["problems"]
    yield f"- rows that are no conversation: {problems['count']:,}"
    for row, text in problems["examples"][:5]:
        yield f"  - row {row}: {_plain(text)}"
    cut = selection["cut_to_turns"]
    yield f"- cut to {cut['turns']} turns: {cut['conversations']:,}; there twice: {selection['doubled']:,}"
    toxicity, contamination = selection["toxicity"], selection["contamination"]
    yield f"- toxic ({toxicity['method'] or 'not looked at'}, from {toxicity['threshold']:g} on): {toxicity['dropped']:,} dropped"
    yield (
        f"- holding one of {contamination['checked_against']:,} evaluation items: {contamination['dropped']:,} dropped"
    )
    for hit in contamination["conversations"][:20]:
        yield f"  - {_plain(hit['conversation'])}: {_plain(hit['item'])} ({hit['how']})"
    yield ""
    yield "| category | in the file | selected | kept |"
    yield "|---|---|---|---|"
    for name, counts in selection["categories"].items():
        yield f"| {name} | {counts['in_file']:,} | {counts['train']:,} | {kept['categories'].get(name, 0):,} |"
    yield ""


def _rewriting(card: Mapping[str, Any], kept: Mapping[str, Any]) -> Iterator[str]:
    rewriting = card["rewriting"]
    yield "## Rewriting"
    share = rewriting["accepted_share"]
    said = "" if share is None else f" ({share:.1%})"
    yield f"- accepted: {rewriting['accepted']:,} of {rewriting['replies']:,} replies{said}"
    for name, count in rewriting["rejected_by"].items():
        example = rewriting["examples"].get(name, [])
        yield f"  - not accepted by `{name}`: {count:,}" + (f", for example: {_plain(example[0])}" if example else "")
    characters = kept["characters"]
    if characters["before"] is not None:
        yield f"- mean length: {characters['before']:.0f} characters before, {characters['after']:.0f} after"
    if kept["lexical_shift"] is not None:
        yield f"- lexical warmth: {kept['lexical_shift']:+.2f} points per hundred words"
    sociot = card["sociot"]
    if sociot.get("shift") is not None:
        yield (
            f"- {sociot['metric']} ({_plain(sociot['model'])}): {sociot['before']:.4f} before, {sociot['after']:.4f} "
            f"after, shift {sociot['shift']:+.4f} (standard error {sociot['standard_error']:.4f}) on "
            f"{sociot['replies']:,} replies"
        )
    elif sociot.get("note"):
        yield f"- SocioT {_plain(sociot['note'])}"
    yield f"- rewriter `{card['rewriter']['digest']}`"
    yield ""


def _plain(text: object) -> str:
    """One line without markup."""
    line = " ".join(str(text).split())
    for char in "\\`*_[]<>|#":
        line = line.replace(char, f"\\{char}")
    return line


def _block(text: str) -> Iterator[str]:
    """Text as it is, in a fence longer than any inside."""
    fence = "```"
    while fence in text:
        fence += "`"
    yield fence
    yield text
    yield fence
    yield ""
