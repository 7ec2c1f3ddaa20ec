"""Equal digests rewrite alike: what shapes a text is in the digest, what does not is not."""

from __future__ import annotations

from dataclasses import replace

from services.rewriter.domain import digests, prompting, styles
from services.rewriter.domain.values import Style
from services.rewriter.domain.warmth import warmth


def digest(style: Style, source: dict[str, str]) -> str:
    return digests.digest(digests.components(style, source))


def test_style_and_source_are_in_the_digest() -> None:
    warm, cold = styles.builtin("warm"), styles.builtin("cold")
    found = {
        digest(warm, {"kind": "rules"}),
        digest(cold, {"kind": "rules"}),
        digest(warm, {"kind": "endpoint", "model": "a"}),
        digest(warm, {"kind": "endpoint", "model": "b"}),
        digest(replace(warm, instruction="Be loud."), {"kind": "rules"}),
    }
    assert len(found) == 5


def test_an_untransformed_reply_is_the_same_whoever_would_have_rewritten_it() -> None:
    style = styles.builtin("untransformed")
    assert digest(style, {"kind": "rules"}) == digest(style, {"kind": "endpoint", "model": "a"})


def test_built_in_styles_say_what_they_are() -> None:
    for name in styles.BUILTIN:
        style = styles.builtin(name)
        assert style.name == name
        assert style.description
        assert style.direction in styles.DIRECTIONS
    assert prompting.digest().startswith("sha256:")


def test_the_built_in_styles_differ_by_the_measure_that_certifies_them() -> None:
    warm = styles.builtin("warm")
    for text in (*warm.openings, *warm.closings, *(text for texts in warm.openings_for.values() for text in texts)):
        assert warmth(text).points >= 1, text


def test_an_unknown_built_in_style_has_no_name() -> None:
    assert styles.builtin("icy").name == ""
