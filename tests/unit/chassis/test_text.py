"""Text of others in our messages, and quantities for people."""

from chassis.text import duration, gibibytes, plain, without_secrets


def test_it_becomes_one_printable_line() -> None:
    assert plain("a\x1b[2J\x1b]0;title\x07 b\r\n\tc\u2028d\x00") == "a b c d"


def test_it_is_cut() -> None:
    assert plain("x" * 400) == "x" * 297 + "..."
    assert plain("x" * 300) == "x" * 300


def test_secrets_go() -> None:
    assert without_secrets("key hunter2 sk-abcdef123456 hf_abcdefgh", "hunter2", "") == "key [secret] [secret] [secret]"
    assert without_secrets("Authorization: Bearer eyJhbGciOi.x.y") == "Authorization: [secret]"
    assert without_secrets("task-oriented desk-bound") == "task-oriented desk-bound"


def test_quantities_are_said_as_people_say_them() -> None:
    assert [duration(seconds) for seconds in (3, 75, 3700)] == ["3 s", "1 min 15 s", "1 h 01 min"]
    assert gibibytes(1.5 * 2**30) == "1.5 GiB"
