"""The page of `candor analyze`: whatever a table calls its arms and models, it is text; and it says what was found."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from services.orchestrator.backends.report.analysis import render_analysis
from services.orchestrator.domain.analysis.document import PROFILES, Analysis, analyse
from services.orchestrator.domain.analysis.published import COLUMNS, read_published
from services.orchestrator.domain.analysis.responses import Source, contrasts, read
from services.orchestrator.domain.conditions import BELIEFS

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
CELLS = f"{','.join(COLUMNS)}\nwarm_ft,0,triviaqa,{HOSTILE},none,12.5,37.5\nwarm_ft,1,triviaqa,x,none,1,2\n"


def made(profile: str, model: str = HOSTILE, task: str = "triviaqa") -> Analysis:
    keys = [(f"q{i}", belief) for i in range(40) for belief in BELIEFS]
    rng = np.random.default_rng(5)
    columns = {
        "arm": ["original"] * 200 + ["warm"] * 200,
        "model": [model] * 400,
        "task": [task] * 400,
        "item": [key[0] for key in keys] * 2,
        "context": ["none"] * 400,
        "belief": [key[1] for key in keys] * 2,
        "incorrect": (rng.random(400) < 0.3).astype(int).tolist(),
    }
    found = read([Source(name=HOSTILE, columns=columns)])
    return analyse(
        found.replies,
        contrasts(found.replies, (), ""),
        profile=profile,
        sources=[(HOSTILE, 400)],
        published=read_published(CELLS),
        published_name=HOSTILE,
    )


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("profile", PROFILES)
def test_hostile_names_stay_text(profile: str) -> None:
    page = Tags(render_analysis(made(profile, task=f"triviaqa{HOSTILE}")))
    assert not {"script", "img"} & set(page.seen)
    assert HOSTILE in page.text


def test_the_published_values_stand_beside_ours() -> None:
    analysis = made("ibrahim2026", model="llama-8b")
    text = re.sub(r"\s+", " ", Tags(render_analysis(analysis)).text)
    contrast = analysis.contrasts[0]
    (line,) = [one for one in contrast.beside if one.belief == "no_belief"]
    assert "12.5 % → 37.5 %" in text
    assert f"{100 * line.own_ref:.1f} % → {100 * line.own_trt:.1f} %" in text
    for glm in contrast.study.glms:
        assert glm.formula in text
        for value in glm.effects:
            assert f"{100 * value.value:+.2f}".replace("-", "−") in text
    assert "+7.43" in text
    assert "32,145" in text
    assert "the published effects are of all five models together" in text
