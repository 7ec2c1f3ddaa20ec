from collections.abc import Callable
from pathlib import Path

import pytest

from candor_cli.document import Document, read_document
from chassis.errors import CandorError, Reason

GOOD = """\
arms:
  v1: {endpoint: {base_url: "http://a/v1", model: m}}
  v2: {endpoint: {base_url: "http://b/v1", model: m}}
baseline: v1
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Document]:
    def reader(text: str | bytes) -> Document:
        path = tmp_path / "evaluation.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_document(path)

    return reader


def refusal(read: Callable[[str], Document], text: str | bytes) -> CandorError:
    with pytest.raises(CandorError) as caught:
        read(text)  # type: ignore[arg-type]
    assert caught.value.reason is Reason.BAD_DOCUMENT
    return caught.value


def test_the_smallest_document_is_read(read: Callable[[str], Document]) -> None:
    spec = read(GOOD).spec
    assert set(spec.arms) == {"v1", "v2"}
    assert spec.arms["v2"].endpoint.base_url == "http://b/v1"
    assert not spec.HasField("sampling")


def test_absent_is_not_zero(read: Callable[[str], Document]) -> None:
    spec = read(GOOD + "sampling: {temperature: 0}\n").spec
    assert spec.sampling.HasField("temperature")
    assert not spec.sampling.HasField("max_tokens")


@pytest.mark.parametrize(
    ("text", "field", "line", "says"),
    [
        (GOOD + "bassline: v1\n", "bassline", 5, "did you mean baseline?"),
        (GOOD + "gate:\n  margin: 2\n", "gate.margin", 6, "is not a field"),
        (GOOD + "sampling: {temperature: hot}\n", "sampling.temperature", 5, "must be a number"),
        (GOOD + "sampling: {temperature: .nan}\n", "sampling.temperature", 5, "finite"),
        (GOOD + "sampling: {max_tokens: 1.5}\n", "sampling.max_tokens", 5, "whole number"),
        (GOOD + "sampling: {max_tokens: 99999999999}\n", "sampling.max_tokens", 5, "within range"),
        (GOOD + "repeats: true\n", "repeats", 5, "must be a number"),
        (GOOD + "tasks: core\n", "tasks", 5, "must be a list"),
        (GOOD + "tasks: [core]\n", "tasks[0]", 5, "must be a mapping"),
        (GOOD + "tasks:\n- {path: nowhere.csv}\n", "tasks[0].path", 6, "does not exist"),
        (GOOD + "name: 12\n", "name", 5, 'write "12"'),
        (GOOD + "name:\n", "name", 5, "has no value"),
        (
            GOOD.replace("model: m}}", "model: m}, checkpoint: {path: x}}", 1),
            "arms.v1.checkpoint",
            2,
            "cannot stand beside",
        ),
        (
            GOOD.replace("model: m}}", "model: m}, system_prompt: {file: gone.txt}}", 1),
            "arms.v1.system_prompt.file",
            2,
            "No such file",
        ),
    ],
)
def test_a_bad_field_is_named_with_its_line_and_mend(
    read: Callable[[str], Document], text: str, field: str, line: int, says: str
) -> None:
    error = refusal(read, text)
    [violation] = error.violations
    assert violation.field == f"{field} (line {line})"
    assert says in violation.description


def test_every_bad_field_is_named_at_once(read: Callable[[str], Document]) -> None:
    error = refusal(read, GOOD + "nam: x\nrepeats: many\ngate: {alpha: much}\n")
    assert len(error.violations) == 3
    assert "3 fields" in error.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("arms: [", "line"),
        ("a: 1\na: 2\n", "line 2"),
        (b"name: \xff\n", "UTF-8"),
        ("just text", "mapping"),
        ("x: " + "y" * 5_000_000, "larger"),
        ("a: &a [*a, *a]\n", ""),
    ],
)
def test_what_is_no_document_is_refused(read: Callable[[str], Document], text: str | bytes, says: str) -> None:
    error = refusal(read, text)
    assert says in str(error)


def test_paths_resolve_against_the_document(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "mine.jsonl").write_text("{}\n")
    (folder / "warm.txt").write_text("Be warm.\n")
    (folder / "base").mkdir()
    text = GOOD.replace("model: m}}", "model: m}, system_prompt: {file: warm.txt}}", 1)
    text = text.replace('v2: {endpoint: {base_url: "http://b/v1", model: m}}', "v2: {checkpoint: {path: base}}")
    (folder / "e.yaml").write_text(text + "tasks: [{path: mine.jsonl}]\n")
    spec = read_document(folder / "e.yaml").spec
    assert spec.tasks[0].path == str(folder / "mine.jsonl")
    assert spec.tasks[0].name == "mine"
    assert spec.arms["v1"].system_prompt.text == "Be warm."
    assert spec.arms["v2"].checkpoint.path == str(folder / "base")


def test_short_form_of_no_gate_and_the_custom_resource_form(read: Callable[[str], Document]) -> None:
    assert read(GOOD + "gate: none\n").spec.gate.mode == "none"
    body = "".join(f"  {line}\n" for line in GOOD.splitlines())
    wrapped = f"apiVersion: candor.dev/v1alpha1\nkind: Evaluation\nmetadata: {{name: nightly}}\nspec:\n{body}"
    assert set(read(wrapped).spec.arms) == {"v1", "v2"}


def test_fields_of_the_operator_stand_in_a_custom_resource_and_nowhere_else(read: Callable[[str], Document]) -> None:
    body = "".join(f"  {line}\n" for line in GOOD.splitlines())
    own = '  schedule: "0 2 * * *"\n  suspend: true\n  limit: 10\n'
    wrapped = f"apiVersion: candor.dev/v1alpha1\nkind: Evaluation\nmetadata: {{name: nightly}}\nspec:\n{own}{body}"
    document = read(wrapped)
    assert document.spec == read(GOOD).spec
    assert document.lines["baseline"] == read(GOOD).lines["baseline"] + 7
    with pytest.raises(CandorError, match="schedule"):
        read(GOOD + 'schedule: "0 2 * * *"\n')


def test_an_error_of_the_orchestrator_gets_its_line(read: Callable[[str], Document]) -> None:
    from chassis.errors import FieldViolation, invalid

    document = read(GOOD)
    located = document.located(invalid("bad", [FieldViolation("arms.v2.endpoint.base_url", "is no URL")]))
    assert located.violations[0].field == "arms.v2.endpoint.base_url (line 3)"


SFT = """\
arms:
  base: {checkpoint: {path: model, adapter: tuned}}
  warm:
    sft:
      base: base
      style_file: styles/caring.yaml
      conversations: {path: talks.jsonl}
baseline: base
"""
STYLE = "direction: warmer\nopenings:\n  - Dear friend,\nreplacements: {yes: of course}\n"


@pytest.fixture
def arms_folder(tmp_path: Path) -> Path:
    (tmp_path / "styles").mkdir()
    (tmp_path / "styles" / "caring.yaml").write_text(STYLE)
    (tmp_path / "talks.jsonl").write_text("{}\n")
    return tmp_path


def test_a_style_file_is_sent_as_the_style_and_paths_become_absolute(
    arms_folder: Path, read: Callable[[str], Document]
) -> None:
    document = read(SFT)
    recipe = document.spec.arms["warm"].sft
    assert document.makes_arms
    assert not recipe.style_file
    assert recipe.style_definition.name == "caring"
    assert recipe.style_definition.direction == "warmer"
    assert list(recipe.style_definition.openings) == ["Dear friend,"]
    assert dict(recipe.style_definition.replacements) == {"yes": "of course"}
    assert recipe.conversations.path == str(arms_folder / "talks.jsonl")
    base = document.spec.arms["base"].checkpoint
    assert (base.path, base.adapter) == (str(arms_folder / "model"), str(arms_folder / "tuned"))


def test_a_document_without_recipes_makes_no_arms(read: Callable[[str], Document]) -> None:
    assert not read(GOOD).makes_arms


@pytest.mark.parametrize(
    ("style", "says"),
    [
        ("openings: Dear friend\n", "line 1: openings must be a list"),
        ("name: x\nopening: [a]\n", "line 2: opening is not a field; did you mean openings?"),
        ("name: [\n", "not valid YAML"),
        ("", "must be a mapping with fields such as name"),
    ],
)
def test_a_bad_style_file_is_named_with_both_lines(
    arms_folder: Path, read: Callable[[str], Document], style: str, says: str
) -> None:
    (arms_folder / "styles" / "caring.yaml").write_text(style)
    [violation] = refusal(read, SFT).violations
    assert violation.field == "arms.warm.sft.style_file (line 6)"
    assert "caring.yaml" in violation.description
    assert says in violation.description


def test_a_style_file_beside_another_style_is_refused(arms_folder: Path, read: Callable[[str], Document]) -> None:
    assert (arms_folder / "talks.jsonl").exists()
    [violation] = refusal(read, SFT.replace("base: base\n", "base: base\n      style: warm\n", 1)).violations
    assert "cannot stand beside style" in violation.description


@pytest.mark.parametrize(("name", "says"), [("gone.jsonl", "does not exist"), ("styles", "is a folder")])
def test_conversations_that_are_no_file_are_named(
    arms_folder: Path, read: Callable[[str], Document], name: str, says: str
) -> None:
    assert (arms_folder / "styles").is_dir()
    [violation] = refusal(read, SFT.replace("talks.jsonl", name)).violations
    assert violation.field == "arms.warm.sft.conversations.path (line 7)"
    assert says in violation.description


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("arms.warm.sft.style_definition.name", 6),
        ("arms.warm.sft.conversations.dataset", 7),
        ("arms.warm.sft.training.epochs", 4),
        ("arms.warm.sft.base", 5),
    ],
)
def test_an_error_about_a_recipe_gets_the_line_of_what_was_written(
    arms_folder: Path, read: Callable[[str], Document], field: str, line: int
) -> None:
    from chassis.errors import FieldViolation, invalid

    assert (arms_folder / "talks.jsonl").exists()
    located = read(SFT).located(invalid("bad", [FieldViolation(field, "is wrong")]))
    assert located.violations[0].field == f"{field} (line {line})"


def test_recipes_may_share_fields_through_a_yaml_anchor(arms_folder: Path, read: Callable[[str], Document]) -> None:
    assert (arms_folder / "talks.jsonl").exists()
    text = SFT.replace("    sft:\n", "    sft: &recipe\n").replace("style_file: styles/caring.yaml", "style: warm")
    document = read(text.replace("baseline", "  cold: {sft: {<<: *recipe, style: cold}}\nbaseline"))
    cold = document.spec.arms["cold"].sft
    assert (cold.base, cold.style) == ("base", "cold")
    assert cold.conversations.path == document.spec.arms["warm"].sft.conversations.path
