"""Ratings on the terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from candor_cli.view.text import percent
from chassis.text import plain
from services.orchestrator.domain.calibration import LABELS_PER_ARM, Calibration
from services.orchestrator.domain.ratings.draw import Drawn
from services.orchestrator.domain.ratings.key import AnswerKey, Key
from services.orchestrator.domain.ratings.needed import ANSWERS_PER_ARM, counts
from services.orchestrator.domain.ratings.preferences import Preferences, Share
from services.orchestrator.domain.ratings.readback import Labels, ReadBack


def exported(key: Key, drawn: Drawn, pairs: int, answers: int, columns: Collection[str]) -> Iterator[str]:
    """What to know of sheets that were drawn.

    Args:
        key: Of the sheets.
        drawn: What is on them.
        pairs: Asked for.
        answers: Asked for.
        columns: Of the table that was drawn from.
    """
    if len(drawn.pairs) < pairs:
        yield f"there are no {pairs:,} pairs of different texts ({drawn.alike:,} pairs are alike)"
    if not answers:
        return
    if not {"question", "gold"} <= set(columns):
        yield "no answers: the table has no columns question and gold; take results/responses.parquet"
        return
    if "aliases" not in columns:
        yield "raters see one right answer each: the table has no column aliases; an evaluation of today writes it"
    if drawn.only_judged:
        yield "the answers are those that only a judge decided: they are what its calibration is about"
    yield (
        f"to calibrate a judge takes {LABELS_PER_ARM} usable labels of each arm, of replies that no rule decides; unsure, or "
        "raters evenly split, is not usable"
    )
    for arm in (key.reference, key.treated):
        shown = [answer for answer in key.answers if answer.arm == arm]
        yield f"  {arm}: {_prospect(shown, answers, only_judged=drawn.only_judged)}"


def _prospect(shown: Sequence[AnswerKey], answers: int, *, only_judged: bool) -> str:
    """Whether the answers of an arm can make a calibration."""
    count = sum(counts(answer.decided_by) for answer in shown)
    asked = answers // 2
    said = f"{count:,} on the sheet"
    if count >= ANSWERS_PER_ARM:
        return f"{said}, {count - LABELS_PER_ARM:,} to spare"
    if len(shown) < asked:
        spare = "too few" if count < LABELS_PER_ARM else f"{count - LABELS_PER_ARM:,} to spare"
        return f"{said}, {spare}; the evaluation has no more"
    if count < LABELS_PER_ARM and not only_judged:
        return f"{said}, too few: rules decided the others; evaluate with a judge, then what it decides is drawn"
    spare = "too few" if count < LABELS_PER_ARM else f"only {count - LABELS_PER_ARM:,} to spare"
    return f"{said}, {spare}; draw --answers {2 * ANSWERS_PER_ARM}"


def ratings_json(key: Key, back: ReadBack, found: Preferences | None, target: Path | None) -> str:
    """Everything that was found; shares, not percentages."""
    labels = back.labels
    value = {
        "schema": 1,
        "source": key.source,
        "treated": key.treated,
        "reference": key.reference,
        "warmth": None if found is None else asdict(found),
        "open_pairs": back.open_pairs,
        "labels": {
            "answers": len(labels.labelled),
            "undecided": labels.undecided,
            "unsure": labels.unsure,
            "raters_agree": labels.raters_agree,
            "needed_per_arm": LABELS_PER_ARM,
            "usable": {one.arm: one.usable for one in labels.standings},
            "missing": {one.arm: one.missing for one in labels.standings},
            "graded": None if labels.graded is None else labels.graded.to_json(),
            "judged": None if labels.judged is None else labels.judged.to_json(),
            "out": None if target is None else str(target),
        },
    }
    return json.dumps(value, ensure_ascii=False, indent=1)


def show_ratings(key: Key, back: ReadBack, found: Preferences | None, target: Path | None) -> None:
    """Print what raters said."""
    if found is not None:
        _show_warmth(key, found)
        if back.open_pairs:
            print(f"  {back.open_pairs:,} rows of pairs are not filled in")
    if back.labels.labelled:
        _show_labels(back.labels)
        _show_standings(key, back.labels, target)


def _show_warmth(key: Key, found: Preferences) -> None:
    share = found.prefers_treated
    print(
        f"Which is warmer: {plain(key.treated)} against {plain(key.reference)}, {share.judgements:,} judgements of "
        f"{share.pairs:,} pairs by {share.raters:,} {'rater' if share.raters == 1 else 'raters'}"
    )
    print(f"  prefer {plain(key.treated):<20} {_share(share)}   study {percent(found.published_preference)}")
    if found.agrees_with_sociot.judgements:
        print(f"  agree with SocioT           {_share(found.agrees_with_sociot)}")
        pairs = found.pairs_with_sociot
        if pairs is not None:
            bounds = f"{percent(pairs.value)} ({percent(pairs.lower)} to {percent(pairs.upper)})"
            print(f"  pairs on SocioT's side      {bounds}   study {percent(found.published_agreement)}")
    else:
        print("  agree with SocioT           not measured: the evaluation has no warmth section")
    print(f"  prefer what stood first     {_share(found.prefers_first)}")
    if found.raters_agree is not None:
        print(f"  two raters agree            {percent(found.raters_agree)}")
    if found.ties:
        print(f"  {found.ties:,} without a preference count as half")
    if share.raters == 1:
        print("  one rater: the intervals are over pairs and say nothing of other raters")
    else:
        print("  intervals: 95 %, clustered by rater and by pair")


def _share(share: Share) -> str:
    if share.lower is None:
        return percent(share.value)
    return f"{percent(share.value)} ({percent(share.lower)} to {percent(share.upper)})"


def _show_labels(labels: Labels) -> None:
    print(f"Is it right: {len(labels.labelled):,} answers labelled")
    if labels.undecided or labels.unsure:
        print(f"  {labels.undecided:,} left out, their raters split evenly; {labels.unsure:,} times unsure")
    if labels.raters_agree is not None:
        print(f"  two raters agree            {percent(labels.raters_agree)}")
    for name, part in (("the evaluation's grades", labels.graded), ("of these, the judge's", labels.judged)):
        if part is not None:
            print(f"  {name:<27} {_agreement(part)}")


def _show_standings(key: Key, labels: Labels, target: Path | None) -> None:
    """What the labels are worth to a judge's calibration, and what it still takes."""
    short = [one for one in labels.standings if one.missing]
    print(f"  to calibrate a judge takes {LABELS_PER_ARM} usable labels of each arm, of replies that no rule decides")
    for one in labels.standings:
        rest = f"{one.missing:,} more needed" if one.missing else "enough"
        print(f"    {plain(one.arm):<16} {one.usable:,} usable of {one.rated:,} rated: {rest}")
    unrated = sum(one.unrated for one in short)
    if unrated:
        print(f"  {unrated:,} answers of the sheet are not rated yet")
    beyond = max((one.beyond for one in short), default=0)
    if beyond:
        print(
            f"  draw more: candor ratings export {plain(key.source)} --answers {len(key.answers) + 2 * beyond} --seed {key.seed} "
            "with another --out; what is filled in goes with its key too"
        )
    if target is not None:
        print(f"  candor calibrate judge {target} --judge-url URL --judge-model NAME")


def _agreement(part: Calibration) -> str:
    whole = part.overall
    kappa = "" if whole.kappa.value is None else f", kappa {whole.kappa.value:.2f}"
    return f"agree on {percent(whole.agreement.value)} of {whole.n:,}{kappa}"
