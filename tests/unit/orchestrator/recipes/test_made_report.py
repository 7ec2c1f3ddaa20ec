"""What the page and verdict.json say of arms that were made."""

import itertools
import json
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from services.orchestrator.backends.report.html import render_html
from services.orchestrator.backends.report.made import choice_curve, loss_curves, made_view
from services.orchestrator.domain.making.choice import Point
from services.orchestrator.domain.making.made import Loss, Made, MadeArm, Saved
from services.orchestrator.domain.verdict_json import verdict_json

Recipe = Callable[..., evaluation_pb2.EvaluationSpec]
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Tags(HTMLParser):
    """The tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)


@pytest.fixture
async def report(suite: Any, makers: Any, recipe: Recipe, conversations: Callable[..., bytes]) -> Any:
    odd = {f"advice_{n}": f"{EVIL} {n} reject cold" for n in range(3)} | {
        "other_0": EVIL,
        "other_1": "What is number 3? gold0003",
        "other_2": "So: what is number 3?",
    }
    makers.files.data["talks.jsonl"] = conversations(6, **odd)
    makers.trainer.fails = ""

    def answer(arm: str, text: str) -> str:
        epoch = float(arm.partition(" at epoch ")[2] or 0)
        number = text.split("number ")[1].partition("?")[0] if "number " in text else "0"
        return f"It is gold{number.zfill(4)}." + "!" * round(40 * epoch)

    suite.inference.answer = answer
    document = recipe(size=24, validation_size=6)
    document.warmth.model = "gpt2"
    row = await suite.evaluate(document)
    assert row.state == "SUCCEEDED", row.reason
    return suite.report


async def test_the_page_shows_curves_tables_and_samples(report: Any) -> None:
    page = render_html(report)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "How the arms were made" in text
    assert "cold, neutral, warm: epoch 1.5 , the earliest" in text
    assert "the earliest epoch with 75% of the largest lift in warmth, decided on warm" in text
    assert "Training loss by epoch" in page
    assert "Mean warmth of replies by epoch" in page
    assert "other-1 (core/q0003, exact)" in text
    assert "Rewrites of cold that were not accepted: numbers" in text
    assert "checkpoint-6" in text
    for arm in report.made:
        assert arm.card["digest"] in text


async def test_the_page_tells_which_adapters_were_taken_and_where_they_lie(report: Any) -> None:
    page = render_html(report)
    for arm in report.made:
        assert arm.taken is not None
        assert arm.taken.epoch == arm.epoch
    rows = re.findall(r"<tr>(?:(?!</tr>).)*taken</b>.*?</tr>", page)
    assert len(rows) == len(report.made)
    assert all("1.5" in row and "checkpoint-6" in row for row in rows)
    folders = re.findall(r"<small>in (.*?)</small>", page)
    assert [f"{folder}/checkpoint-6" for folder in folders] == [arm.taken.path for arm in report.made]


@pytest.mark.parametrize("paths", [("ft:model:a", "ft:model:b"), ("/x/one/final", "/x/two/final")])
def test_adapters_that_share_no_folder_have_their_whole_name(paths: Sequence[str]) -> None:
    saved = tuple(Saved(float(epoch), epoch, "sha256:0", path) for epoch, path in enumerate(paths, 1))
    (found,) = made_view([MadeArm(arm="warm", base="b", style="warm", checkpoints=saved)])
    assert found["checkpoints"][0][1:] == ("", list(paths))


async def test_text_of_conversations_is_never_markup(report: Any) -> None:
    page = render_html(report)
    tags = Tags(page).found
    assert tags.count("script") == 2
    assert "img" not in tags


async def test_the_page_without_made_arms_says_nothing_of_them(
    suite: Any, document: Callable[..., evaluation_pb2.EvaluationSpec]
) -> None:
    await suite.evaluate(document())
    assert "How the arms were made" not in render_html(suite.report)
    assert json.loads(verdict_json(suite.report))["made"] == []


async def test_verdict_json_has_everything_of_the_making(report: Any) -> None:
    made = json.loads(verdict_json(report))["made"]
    assert [each["arm"] for each in made] == ["cold", "neutral", "warm"]
    warm = made[2]
    assert [point["epoch"] for point in warm["curve"]] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert warm["training"]["lora_r"] == "8"
    assert warm["training"]["checkpoint_epochs"] == "0.5, 1, 1.5, 2"
    assert warm["card"]["rewriting"]["replies"] == 2 * (warm["card"]["selection"]["wanted"]["train"] - 1)
    assert tuple(MadeArm.from_json(each) for each in made) == report.made


def test_what_is_pinned_comes_back_as_it_was() -> None:
    made = Made(
        arms=(
            MadeArm(
                arm="warm",
                base="b",
                style="warm",
                losses=(Loss(1, 0.25, 3.0, 1e-5), Loss(2, 0.5, 2.0)),
                curve=(
                    Point(epoch=0.0, warmth=0.1),
                    Point(epoch=1.0, warmth=0.2, lift=0.1, lift_error=0.01, replies=3),
                ),
            ),
        ),
        warnings=("w",),
    )
    assert Made.from_json(json.loads(json.dumps(made.to_json()))) == made


def _arm(name: str, losses: list[float]) -> MadeArm:
    points = tuple(Loss(step, step / 4, loss) for step, loss in enumerate(losses, 1))
    return MadeArm(arm=name, base="b", style="warm", losses=points)


def test_labels_of_curves_that_end_together_do_not_lie_on_each_other() -> None:
    plot = str(loss_curves([_arm(name, [3.0, 2.0, 1.0]) for name in ("warm", "cold", "<neutral>")]))
    heights = sorted(float(y) for y in re.findall(r'<text class="s\d" x="\d+" y="([\d.]+)">', plot))
    assert len(heights) == 3
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 14
    assert "<neutral>" not in plot


@pytest.mark.parametrize("losses", [[], [1.0]])
def test_a_curve_of_fewer_than_two_points_is_not_drawn(losses: list[float]) -> None:
    assert not loss_curves([_arm("warm", losses)])


def test_the_choice_is_not_drawn_from_one_point_and_marks_what_was_taken() -> None:
    assert not choice_curve([Point(epoch=0.0, warmth=0.1)], 0.0)
    points = [
        Point(epoch=0.0, warmth=0.1),
        Point(epoch=1.0, warmth=0.3, lift=0.2, lift_error=0.01),
        Point(epoch=2.0, warmth=0.2, lift=0.1),
    ]
    plot = str(choice_curve(points, 1.0))
    assert plot.count('class="good"') == 1
    assert "75% of the lift" in plot
