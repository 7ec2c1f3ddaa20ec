"""`candor ratings export` and `candor ratings import`: what people say of replies, blinded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from candor_cli.names import LATEST
from candor_cli.options import (
    JsonOption,
    Remote,
    StateOption,
    reaches,
)
from chassis.errors import CandorError, Reason

app = typer.Typer(help="Ask people which reply is warmer and which answer is right, blinded.", no_args_is_help=True)


@app.command("export")
@reaches
def export(
    source: Annotated[
        str,
        typer.Argument(
            metavar="[ID|FILE]", help="Evaluation id, or its results folder or responses.parquet; default: the newest."
        ),
    ] = LATEST,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the raters.")] = Path("ratings"),
    key: Annotated[
        Path | None,
        typer.Option("--key", help="The sealed key, not for raters. Default: OUT.key.json beside the folder."),
    ] = None,
    treated: Annotated[
        str, typer.Option("--treated", help="Arm whose warmth is judged. Default: the one other arm.")
    ] = "",
    reference: Annotated[
        str, typer.Option("--reference", help="Arm compared with it. Default: original, baseline or v1.")
    ] = "",
    pairs: Annotated[int, typer.Option("--pairs", min=0, help="Pairs for `which is warmer`.")] = 100,
    answers: Annotated[
        int | None,
        typer.Option(
            "--answers",
            min=0,
            help="Replies for `is this right`, half of each arm. Default: what a judge's calibration takes, and a quarter more.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the draw.")] = 1,
    state: StateOption = None,
    *,
    remote: Remote,
) -> None:
    """Draw reply pairs and answers for raters: no arm named, the order balanced, the key in a file of its own."""
    from candor_cli.rating_files import Request, export_from, fetched
    from services.orchestrator.domain.ratings.needed import ANSWERS_PER_ARM

    sealed = key or out.with_name(f"{out.name}.key.json")
    if sealed.exists():
        raise CandorError(
            Reason.INVALID_REQUEST,
            f"{sealed} exists, and ratings that need it may be under way; name another --out, or remove it",
        )
    if sealed.resolve().is_relative_to(out.resolve()):
        raise CandorError(Reason.INVALID_REQUEST, f"--key {sealed} lies in the raters' folder; put it elsewhere")
    request = Request(treated, reference, pairs, 2 * ANSWERS_PER_ARM if answers is None else answers, seed)
    path = Path(source)
    if path.exists():
        said = export_from(path, source, request, out, sealed)
    else:
        with fetched(remote, state or Path(".candor"), source) as (name, responses):
            said = export_from(responses, name, request, out, sealed)
    for line in said:
        print(line)


@app.command("import")
def import_(
    sheets: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Filled-in pairs.csv and answers.csv, of any number of raters.", show_default=False
        ),
    ],
    key: Annotated[Path, typer.Option("--key", help="The key that the export wrote.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Table of labels for `candor calibrate judge`. Default: KEY.labels.jsonl."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read ratings: share preferring the treated reply, agreement with SocioT, labels for the judge's calibration."""
    from candor_cli.rating_files import read_key, read_sheets
    from candor_cli.tables import write_rows
    from services.orchestrator.domain.ratings.preferences import preferences
    from services.orchestrator.domain.ratings.readback import calibration_rows, read_back

    found = read_key(key)
    back = read_back(found, read_sheets(sheets))
    if not back.judgements and not back.labels.labelled:
        raise CandorError(Reason.BAD_DATASET, "nothing is rated yet: fill in the columns warmer and label")
    target = None
    if back.labels.labelled:
        target = out or key.with_name(key.name.removesuffix(".json").removesuffix(".key") + ".labels.jsonl")
        write_rows(target, calibration_rows(back.labels))
    from candor_cli.view.ratings import ratings_json, show_ratings

    result = preferences(back.judgements) if back.judgements else None
    if as_json:
        print(ratings_json(found, back, result, target))
    else:
        show_ratings(found, back, result, target)
