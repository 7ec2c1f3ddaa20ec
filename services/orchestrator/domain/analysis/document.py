"""What `candor analyze` has to say of a table of replies: `analyse(...)`, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from services.orchestrator.domain.analysis.compare import compare
from services.orchestrator.domain.analysis.ibrahim2026.figures import published_arm
from services.orchestrator.domain.analysis.ibrahim2026.profile import study
from services.orchestrator.domain.analysis.ibrahim2026.result import Study
from services.orchestrator.domain.analysis.published import Agreement, Beside, PublishedCell, agreement, beside
from services.orchestrator.domain.analysis.replies import Replies, only
from services.orchestrator.domain.analysis.result import Comparison
from services.orchestrator.domain.verdict_json import finite

SCHEMA = 1
STUDY = "ibrahim2026"
OURS = "candor"
PROFILES = (STUDY, OURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Two arms compared.

    Attributes:
        treated: Treated arm.
        reference: Arm compared against.
        study: All models together in the study's form.
        comparisons: Of each model, as an evaluation's report has them; empty under the profile `ibrahim2026`.
        beside: Published cells beside ours; empty without a file, or where the arm is none of the study's.
        agreement: Summary of these.
    """

    treated: str
    reference: str
    study: Study
    comparisons: tuple[Comparison, ...] = ()
    beside: tuple[Beside, ...] = ()
    agreement: Agreement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The whole analysis.

    Attributes:
        profile: `ibrahim2026` or `candor`.
        sources: Name of each table and its rows.
        arms: Replies by arm.
        contrasts: In the order asked for.
        published: Name of the file of published cells, or empty.
        notes: What a reader should know.
    """

    profile: str
    sources: tuple[tuple[str, int], ...]
    arms: tuple[tuple[str, int], ...]
    contrasts: tuple[Contrast, ...]
    published: str = ""
    notes: tuple[str, ...] = ()


def analyse(
    replies: Replies,
    pairs: Sequence[tuple[str, str]],
    *,
    profile: str,
    sources: Sequence[tuple[str, int]],
    published: Sequence[PublishedCell] = (),
    published_name: str = "",
    notes: Sequence[str] = (),
) -> Analysis:
    """Analyse a table.

    Args:
        replies: The table.
        pairs: (treated, reference) of every comparison.
        profile: `ibrahim2026` or `candor`.
        sources: Name of each file and its rows.
        published: The user's file of published cells.
        published_name: Its name.
        notes: Said before ours.
    """
    found = tuple(_contrast(replies, treated, reference, profile, published) for treated, reference in pairs)
    return Analysis(
        profile=profile,
        sources=tuple(sources),
        arms=tuple((name, only(replies, arm=(name,)).rows) for name in replies.present("arm")),
        contrasts=found,
        published=published_name,
        notes=(*notes, *_notes(found, published)),
    )


def _contrast(
    replies: Replies, treated: str, reference: str, profile: str, published: Sequence[PublishedCell]
) -> Contrast:
    found = study(replies, treated, reference)
    lines = beside(found, published, found.published_arm) if found.published_arm else ()
    comparisons: list[Comparison] = []
    for model in replies.present("model") if profile == OURS else ():
        part = only(replies, model=(model,), arm=(treated, reference))
        if len(part.present("arm")) == 2:
            name = f"{treated}, {model}" if model else treated
            comparisons.append(compare(name, treated, reference, part.pairs(treated, reference)))
    return Contrast(
        treated=treated,
        reference=reference,
        study=found,
        comparisons=tuple(comparisons),
        beside=lines,
        agreement=agreement(lines),
    )


def _notes(found: Sequence[Contrast], published: Sequence[PublishedCell]) -> Iterator[str]:
    nameless = [contrast.treated for contrast in found if not published_arm(contrast.treated)]
    if nameless:
        yield (
            f"no published figures stand beside {', '.join(nameless)}: the study's arms are warm, cold and warm_prompt"
        )
    if published and all(contrast.agreement is None for contrast in found if contrast.study.published_arm):
        yield "no cell of the published file is among ours: its tasks and contexts are others"


def analysis_json(found: Analysis) -> str:
    """The analysis for machines; keys keep their meaning while `schema` stays the same. Rates are shares."""
    return json.dumps({"schema": SCHEMA, **finite(asdict(found))}, ensure_ascii=False, indent=1)
