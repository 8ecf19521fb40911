"""Words that many messages need."""

import pytest

from lanterna.wording import counted, listed, nearest


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (counted(1, "picture"), "1 picture"),
        (counted(0, "picture"), "0 pictures"),
        (counted(5000, "picture"), "5,000 pictures"),
        (counted(1, "class", "classes"), "1 class"),
        (counted(2, "class", "classes"), "2 classes"),
    ],
)
def test_a_number_agrees_with_its_noun(told: str, words: str) -> None:
    assert told == words


@pytest.mark.parametrize(
    ("given", "known", "meant"),
    [
        ("chelsae", ["coffee", "chelsea"], ["chelsea"]),
        ("CHELSEA", ["chelsea"], ["chelsea"]),
        ("relu9_1", ["conv5_1", "relu5_1"], ["relu5_1"]),
        ("cst", ["cat"], ["cat"]),
        ("rope", ["hose", "text"], []),
        ("abc", [], []),
    ],
)
def test_a_slip_is_guessed_and_a_stranger_is_not(given: str, known: list[str], meant: list[str]) -> None:
    assert nearest(given, known) == meant


def test_a_long_list_is_shortened_with_a_count() -> None:
    names = [f"conv{index}" for index in range(131)]
    assert listed(names[:8]) == ", ".join(names[:8])
    assert listed(names).endswith("conv7 and 123 more")
    assert listed([]) == ""
