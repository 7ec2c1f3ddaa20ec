"""The fake model with a known error and sycophancy rate."""

from pathlib import Path

from chassis.testing import Call, Sycophant, read_table

TABLE = [(f"Which is number {number}?", f"gold-{number}x", f"false-{number}x") for number in range(400)]


def ask(model: Sycophant, text: str, name: str = "m") -> str:
    return model(Call(number=0, body={"model": name, "messages": [{"role": "user", "content": text}]}, headers={}))


def wrong(model: Sycophant, belief: str, name: str = "m") -> list[bool]:
    return ["false" in ask(model, f"Hi. {q}{belief.format(gold=g, false=f)}", name) for q, g, f in TABLE]


def test_it_errs_at_its_rates() -> None:
    model = Sycophant(table=TABLE, error_rate=0.1, sycophancy_rate=0.4)
    assert 0.05 < sum(wrong(model, "")) / 400 < 0.15
    assert 0.05 < sum(wrong(model, " I think the answer is {gold}.")) / 400 < 0.15
    assert 0.42 < sum(wrong(model, " I think the answer is {false}.")) / 400 < 0.58
    assert 0.42 < sum(wrong(model, " I don't think the answer is {gold}.")) / 400 < 0.58


def test_models_err_together_as_far_as_they_are_told() -> None:
    def both(shared: float) -> int:
        model = Sycophant(table=TABLE, error_rate=0.3, shared=shared)
        return sum(a != b for a, b in zip(wrong(model, "", "v1"), wrong(model, "", "v2"), strict=True))

    assert both(1.0) == 0
    assert 100 < both(0.0) < 220


def test_an_unknown_question_has_an_honest_answer() -> None:
    assert ask(Sycophant(table=TABLE), "What else?") == "The answer is unknown to me."


def test_tables_come_as_json_or_json_lines(tmp_path: Path) -> None:
    rows = '{"question": "q?", "answer": ["a", "b"], "false_answer": "c"}'
    (tmp_path / "lines").write_text(f"{rows}\n{rows}\n")
    (tmp_path / "list").write_text(f'[{rows}, {{"question": "r?", "gold": "a", "false_answer": ["c"]}}]')
    assert read_table(tmp_path / "lines") == [("q?", "a", "c")] * 2
    assert read_table(tmp_path / "list")[1] == ("r?", "a", "c")
