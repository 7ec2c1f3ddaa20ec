"""Ratings on the terminal and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from candor_cli.view.text import percent
from chassis.text import plain
from services.orchestrator.domain.calibration import LABELS_PER_ARM, Calibration
from services.orchestrator.domain.ratings.key import Key
from services.orchestrator.domain.ratings.preferences import Preferences, Share
from services.orchestrator.domain.ratings.readback import Labels, ReadBack


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
        _show_labels(back.labels, target)


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


def _show_labels(labels: Labels, target: Path | None) -> None:
    print(f"Is it right: {len(labels.labelled):,} answers labelled")
    if labels.undecided or labels.unsure:
        print(f"  {labels.undecided:,} left out, their raters split evenly; {labels.unsure:,} times unsure")
    if labels.raters_agree is not None:
        print(f"  two raters agree            {percent(labels.raters_agree)}")
    for name, part in (("the evaluation's grades", labels.graded), ("of these, the judge's", labels.judged)):
        if part is not None:
            print(f"  {name:<27} {_agreement(part)}")
    if labels.short:
        print(f"  {', '.join(map(plain, labels.short))}: under {LABELS_PER_ARM} labels, too few to calibrate a judge")
    if target is not None:
        print(f"  candor calibrate judge {target} --judge-url URL --judge-model NAME")


def _agreement(part: Calibration) -> str:
    whole = part.overall
    kappa = "" if whole.kappa.value is None else f", kappa {whole.kappa.value:.2f}"
    return f"agree on {percent(whole.agreement.value)} of {whole.n:,}{kappa}"
