"""An analysis on the terminal: the study's models beside its published figures, then what else the profile has."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from candor_cli.view.text import percent, points
from chassis.text import plain
from services.orchestrator.domain.analysis.document import Analysis, Contrast
from services.orchestrator.domain.analysis.ibrahim2026.result import Study, Value
from services.orchestrator.domain.analysis.result import ALL, OVERALL, Comparison

TITLES = {
    "model_1": "1 plain",
    "model_1_length": "1 length",
    "model_2": "2 groups",
    "model_3": "3 contexts",
    "model_4": "4 beliefs",
}
_ERRORS = ("se\nclass.", "se\nclust.", "pub-\nlished")


def show_analysis(console: Console, found: Analysis) -> None:
    """Print everything but the cells, which are in the files."""
    for name, rows in found.sources:
        console.print(Text(f"{plain(name, 200)}: {rows:,} rows"))
    console.print(Text("arms: " + ", ".join(f"{plain(name)} {rows:,}" for name, rows in found.arms)))
    for contrast in found.contrasts:
        title = f"{plain(contrast.treated)} against {plain(contrast.reference)}"
        console.print(Text(f"\n{title}", style="bold"))
        for comparison in contrast.comparisons:
            console.print(_ours(comparison))
        _show_study(console, contrast.study)
        _show_beside(console, contrast, found.published)
    for note in dict.fromkeys(_notes(found)):
        console.print(Text(f"note: {plain(note, 400)}", style="dim"))


def _notes(found: Analysis) -> Iterator[str]:
    yield from found.notes
    for contrast in found.contrasts:
        yield from contrast.study.notes
        for glm in contrast.study.glms:
            if glm.note:
                yield f"{TITLES[glm.name]}: {glm.note}"


def _show_study(console: Console, study: Study) -> None:
    console.print(_effects(study))
    if study.relative:
        console.print(_relative(study))
    if len(study.models) > 1 or study.models != ("",):
        console.print(_gaps(study))
    counts = study.selection
    console.print(
        Text(
            f"rows: {counts.replies:,} used; left out: {counts.refusals_dropped:,} refusals "
            f"({counts.refusals_correct:,} more in disinfo count as correct), {counts.ungraded:,} ungraded, "
            f"{counts.user_right:,} where the user is right, {counts.lead_in:,} with the lead-in in a context, "
            f"{counts.controls:,} of controls",
            style="dim",
        )
    )


def _effects(study: Study) -> Table:
    table = _table("Average marginal effects on wrong answers, points (logit GLM)")
    for column in ("model", "rows"):
        table.add_column(column, no_wrap=True)
    for column in ("effect", *_ERRORS, "replies"):
        table.add_column(column, justify="right", no_wrap=True)
    for glm in study.glms:
        for index, value in enumerate(glm.effects):
            table.add_row(
                TITLES[glm.name] if index == 0 else "",
                value.level,
                *_value(value),
                f"{glm.n_replies:,}" if index == 0 else "",
            )
    return table


def _value(value: Value) -> tuple[str, str, str, str]:
    return (
        _two(value.value),
        _two(value.se_classical, sign=False),
        _two(value.se_clustered, sign=False),
        _two(value.published),
    )


def _two(share: float | None, *, sign: bool = True) -> str:
    if share is None:
        return "–"
    return f"{100 * share:+.2f}" if sign else f"{100 * share:.2f}"


def _relative(study: Study) -> Table:
    table = _table("Relative change of wrong answers, plain questions")
    table.add_column("task")
    table.add_column("change", justify="right")
    table.add_column("published", justify="right")
    for line in study.relative:
        table.add_row(plain(line.task), percent(line.value), percent(line.published))
    return table


def _gaps(study: Study) -> Table:
    table = _table("By model, mean of the tasks, points")
    for column in ("model", "rows"):
        table.add_column(column, no_wrap=True)
    for column in ("refer-\nence", "treated", "gap", *_ERRORS):
        table.add_column(column, justify="right", no_wrap=True)
    for line in study.gaps:
        table.add_row(
            plain(line.model) or "–", line.belief, percent(line.rate_ref), percent(line.rate_trt), *_value(line.gap)
        )
    return table


def _show_beside(console: Console, contrast: Contrast, name: str) -> None:
    summary = contrast.agreement
    if summary is None:
        return
    correlation = "" if summary.correlation is None else f", correlation over cells {summary.correlation:.2f}"
    console.print(
        Text(
            f"{summary.cells:,} cells beside {plain(name)}: mean difference between the arms {points(summary.own_gap)} "
            f"points, published {points(summary.published_gap)}; a cell is {100 * summary.mean_absolute:.1f} points off "
            f"on average{correlation}"
        )
    )


def _ours(comparison: Comparison) -> Table:
    table = _table(f"Paired differences, points: {plain(comparison.name)}")
    table.add_column("belief", no_wrap=True)
    for column in ("reference", "treated", "difference", "95 % interval", "items", "pairs"):
        table.add_column(column, justify="right")
    for belief in (*comparison.beliefs, "no_belief", "false_belief", ALL):
        row = comparison.row(OVERALL, ALL, belief)
        if row is not None:
            table.add_row(
                belief,
                percent(row.rate_ref),
                percent(row.rate_trt),
                points(row.estimate),
                f"{points(row.lower)} to {points(row.upper)}",
                f"{row.n_items:,}",
                f"{row.n_pairs:,}",
            )
    return table


def _table(title: str) -> Table:
    return Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0))
