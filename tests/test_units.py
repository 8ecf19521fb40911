"""The names of units: what they mean, and what is said about names that mean nothing."""

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from lanterna import InputError, Network, UnknownNameError
from lanterna.techniques.units import parse_units

NETWORK = tiny.network()


def named(*texts: str, network: Network = NETWORK) -> list[tuple[str, int, tuple[int, int] | None]]:
    return [(unit.layer, unit.channel, unit.position) for unit in parse_units(texts, network)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conv1:0", [("conv1", 0, None)]),
        ("conv1:7", [("conv1", 7, None)]),
        ("conv1:2-4", [("conv1", 2, None), ("conv1", 3, None), ("conv1", 4, None)]),
        ("conv1:3-3", [("conv1", 3, None)]),
        ("conv2:1@4,15", [("conv2", 1, (4, 15))]),
        ("conv2:1-2@0,0", [("conv2", 1, (0, 0)), ("conv2", 2, (0, 0))]),
        ("logits:5", [("logits", 5, None)]),
        ("logits:0-1", [("logits", 0, None), ("logits", 1, None)]),
        ("logits:sea", [("logits", 0, None)]),
        ("logits:SEA LION", [("logits", 0, None)]),
        ("logits:tabby", [("logits", 3, None)]),
        ("logits:lion", [("logits", 1, None)]),  # a full name, though it is part of two others
        ("head:2", [("head", 2, None)]),
    ],
)
def test_a_name_means_units(text: str, expected: list[tuple[str, int, tuple[int, int] | None]]) -> None:
    assert named(text) == expected


def test_several_names_keep_their_order() -> None:
    assert named("conv2:3", "conv1:1-2", "logits:espresso") == [
        ("conv2", 3, None),
        ("conv1", 1, None),
        ("conv1", 2, None),
        ("logits", 5, None),
    ]


def test_titles_are_for_people() -> None:
    units = parse_units(("logits:3", "logits:4-5", "conv1:2", "conv2:1@4,5"), NETWORK)
    assert [unit.title for unit in units] == ["tabby, tabby cat", "tiger cat", "espresso", "conv1:2", "conv2:1@4,5"]


@given(first=st.integers(0, 7), last=st.integers(0, 7))
def test_a_range_is_every_channel_from_first_to_last_or_refused(first: int, last: int) -> None:
    text = f"conv1:{first}-{last}"
    if first <= last:
        assert [channel for _, channel, _ in named(text)] == list(range(first, last + 1))
    else:
        with pytest.raises(InputError, match=f"backwards; did you mean conv1:{last}-{first}"):
            named(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("conv1:8", ["conv1:8", "out of range", "0 to 7"]),
        ("conv1:5-8", ["conv1:5-8", "out of range", "0 to 7"]),
        ("conv1:-1", ["conv1:-1", "out of range", "0 to 7"]),
        ("conv1:two", ["conv1:two", "number 0 to 7"]),
        ("conv1:1.5", ["conv1:1.5", "number 0 to 7"]),
        ("conv1", ["'conv1'", "names no channel", "conv1:0 to 7"]),
        ("conv1:", ["names no channel", "conv1:0 to 7"]),
        ("conv1:1@", ["conv1:1@", "ROW,COLUMN"]),
        ("conv1:1@3", ["'3'", "ROW,COLUMN"]),
        ("head:1@0,0", ["head:1@0,0", "in a layer that is a map"]),
        ("logits:6", ["class 6", "0 to 5"]),
        ("logits:-1", ["class -1", "0 to 5"]),
        ("logits:0-9", ["out of range", "0 to 5"]),
        ("logits:cat", ["could be any of 2", "tabby, tabby cat (3)", "tiger cat (4)"]),
    ],
)
def test_a_wrong_name_says_what_is_allowed(text: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        named(text)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "nearest"), [("conv3:0", "conv1"), ("hed:0", "head"), ("logit:0", "logits"), ("logits:expresso", "espresso")]
)
def test_an_unknown_name_gets_the_nearest(text: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        named(text)
    assert nearest in caught.value.matches


def test_no_name_and_too_many_are_refused() -> None:
    with pytest.raises(InputError, match="LAYER:CHANNEL"):
        named()
    with pytest.raises(InputError, match="4097 units or more are too many"):
        named(*["conv1:0-7"] * 513)
