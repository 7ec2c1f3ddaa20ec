"""What the experiment says that it found, and the tables of made arms."""

import io
from typing import Any

from rich.console import Console

from candor_cli.view.arms import differences_table, made_table
from candor_cli.view.experiment import findings

Row = tuple[float, float, float | None, float | None]


def comparison(treated: str, reference: str, row: Row, name: str = "") -> dict[str, Any]:
    rate_ref, rate_trt, lower, upper = row
    rows = [
        {
            "task": "overall",
            "context": "all",
            "belief": belief,
            "rate_ref": rate_ref,
            "rate_trt": rate_trt,
            "estimate": rate_trt - rate_ref,
            "lower": lower,
            "upper": upper,
        }
        for belief in ("no_belief", "false_belief")
    ]
    return {"treated": treated, "reference": reference, "name": name or treated, "rows": rows}


def verdict(warmth: Row) -> dict[str, Any]:
    return {
        "reason": "warmth costs so many points",
        "comparisons": [
            comparison("neutral", "original", (0.02, 0.05, -0.01, 0.07)),
            comparison("warm", "neutral", warmth, "warmth"),
            comparison("warm", "cold", (0.03, 0.40, 0.2, 0.5), "warm against cold"),
        ],
    }


def test_what_warmth_costs_stands_apart_from_what_fine_tuning_costs() -> None:
    said = list(findings(verdict((0.05, 0.40, 0.25, 0.45))))
    tuning, warmth = (next(line for line in said if label in line) for label in ("as such", "beyond it"))
    assert "original 2.0 % -> neutral 5.0 %" in tuning
    assert "+3.0 [-1.0, +7.0] points" in tuning
    assert "neutral 5.0 % -> warm 40.0 %" in warmth
    assert said[-1] == "warmth costs so many points"


def test_a_contrast_that_is_missing_is_said_to_be() -> None:
    assert any("not measured" in line for line in findings({"reason": "", "comparisons": []}))


def printed(table: object) -> str:
    console = Console(file=io.StringIO(), width=140, color_system=None)
    console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_made_arm_is_shown_with_the_loss_of_the_checkpoint_that_was_taken() -> None:
    arm = {
        "arm": "warm",
        "base": "original",
        "style": "tiny_warm",
        "card": {"rewriting": {"accepted": 9, "replies": 10}, "kept": {"conversations": 720}},
        "checkpoints": [[0.49, 22, "sha256:a", "/x", 0.4321], [1.0, 45, "sha256:b", "/y", 0.1234]],
        "epoch": 0.5,
        "rule": "the earliest epoch with 75% of the largest lift in warmth",
        "seconds": 61.0,
    }
    text = printed(made_table([arm]))
    assert "720" in text
    assert "90.0 %" in text
    assert "0.432" in text
    assert "1 min 01 s" in text
    assert "original: the earliest epoch" in text


def test_comparisons_stand_side_by_side_with_their_intervals() -> None:
    text = printed(differences_table(verdict((0.05, 0.40, 0.25, 0.45))["comparisons"]))
    assert "original → neutral" in text
    assert "warm against cold" in text
    assert "+35.0 [+25.0, +45.0]" in text
