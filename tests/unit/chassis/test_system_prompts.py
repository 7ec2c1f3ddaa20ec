import pytest

from chassis.errors import CandorError
from chassis.system_prompts import NAMES, builtin, digest


@pytest.mark.parametrize("name", NAMES)
def test_built_in_prompts_are_plain_paragraphs(name: str) -> None:
    text = builtin(name)
    assert 200 < len(text) < 800
    assert "  " not in text
    assert "\n" not in text
    assert digest(name).startswith("sha256:")


def test_warm_and_cold_both_ask_for_the_same_facts() -> None:
    assert digest("warm") != digest("cold")
    for name in NAMES:
        assert "the same facts" in builtin(name)


@pytest.mark.parametrize("name", ["hot", "", "../warm"])
def test_another_name_is_an_error_that_names_the_field(name: str) -> None:
    with pytest.raises(CandorError, match="warm or cold") as caught:
        builtin(name)
    assert caught.value.violations[0].field == "system_prompt.builtin"
