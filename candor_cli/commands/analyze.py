"""`candor analyze FILE...`: statistics of replies that were graded elsewhere. No service, no endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candor_cli.options import JsonOption
from chassis.errors import CandorError, Reason

if TYPE_CHECKING:
    from services.orchestrator.domain.analysis.document import Analysis
    from services.orchestrator.domain.analysis.published import PublishedCell


def analyze(
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL=]FILE...",
            help="Graded replies (csv, jsonl, parquet): results/responses.parquet of an evaluation, an export, or a "
            "table with arm, task, item, context, belief, verdict (optional: model, repeat, reply, ...).",
            show_default=False,
        ),
    ],
    profile: Annotated[
        str,
        typer.Option("--profile", help="ibrahim2026 (the study's own models and row selection), or candor (paired)."),
    ] = "ibrahim2026",
    reference: Annotated[
        str, typer.Option("--reference", help="Arm compared against. Default: original, baseline or v1.")
    ] = "",
    treated: Annotated[
        list[str] | None,
        typer.Option("--treated", help="Arm to compare with it; may be repeated. Default: all others."),
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(
            "--published",
            help="CSV of the study's cells (arm, false_belief, task, model, context, original_error_pct, arm_error_pct), "
            "to stand beside ours. It is read and not kept.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for report.html, analysis.json and cells.csv.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Analyse a table of graded replies: the study's GLMs and marginal effects, or our paired statistics."""
    from services.orchestrator.domain.analysis.document import PROFILES, analysis_json

    if profile not in PROFILES:
        raise CandorError(Reason.INVALID_REQUEST, f"--profile {profile!r} is unknown; use {' or '.join(PROFILES)}")
    found = _analyse(tables, profile, reference, treated or [], published)
    files = _write(found, out) if out else []
    if as_json:
        print(analysis_json(found))
        return
    from rich.console import Console

    from candor_cli.view.analysis import show_analysis

    show_analysis(Console(), found)
    if files:
        print(f"Report: {files[0]}")


def _analyse(tables: list[str], profile: str, reference: str, treated: list[str], published: Path | None) -> Analysis:
    from candor_cli.responses import read_source
    from services.grader.domain.answers.refusals import is_study_refusal
    from services.orchestrator.domain.analysis.document import STUDY, analyse
    from services.orchestrator.domain.analysis.responses import contrasts, read

    cells = _published(published) if published else ()
    sources = [read_source(table, is_study_refusal if profile == STUDY else None) for table in tables]
    table = read(sources)
    return analyse(
        table.replies,
        contrasts(table.replies, treated, reference),
        profile=profile,
        sources=[(source.name, source.rows) for source in sources],
        published=cells,
        published_name=published.name if published else "",
        notes=table.notes,
    )


def _published(path: Path) -> tuple[PublishedCell, ...]:
    from services.orchestrator.domain.analysis.published import read_published

    try:
        return read_published(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CandorError(Reason.BAD_DATASET, f"--published {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CandorError(Reason.BAD_DATASET, f"--published {path} is not UTF-8; save it as UTF-8") from error
    except ValueError as error:
        raise CandorError(Reason.BAD_DATASET, f"--published {path}: {error}") from error


def _write(found: Analysis, folder: Path) -> list[Path]:
    from dataclasses import asdict

    from candor_cli.tables import write_rows, write_text
    from services.orchestrator.backends.report.analysis import render_analysis
    from services.orchestrator.domain.analysis.document import analysis_json

    report = folder / "report.html"
    write_text(report, render_analysis(found))
    write_text(folder / "analysis.json", analysis_json(found))
    rows = [
        {"treated": contrast.treated, "reference": contrast.reference, **asdict(cell)}
        for contrast in found.contrasts
        for cell in contrast.study.cells
    ]
    write_rows(folder / "cells.csv", rows)
    return [report, folder / "analysis.json", folder / "cells.csv"]
