"""Objectives as values: the algebra of numbers, and operands that never change."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lanterna.errors import InputError
from lanterna.objectives import (
    PICTURE,
    Objective,
    alignment,
    channel,
    class_logit,
    direction,
    diversity,
    each,
    interpolate,
    layer_norm,
    neuron,
)

MAPS = torch.randn((4, 5, 7, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LOGITS = torch.randn((4, 10), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
FEATURES = {"conv": MAPS, "logits": LOGITS}

# Each with its value by numpy; all are kept away from zero, so that division and powers are defined.
LEAVES: list[tuple[Objective, Any]] = [
    (neuron("conv", 2) * neuron("conv", 2) + 1, MAPS[:, 2, 3, 3].numpy() ** 2 + 1),
    (layer_norm("conv"), (MAPS.numpy() ** 2).mean((1, 2, 3)) / 2),
    (2 + abs(0.1) * channel("conv", 1), 2 + 0.1 * MAPS[:, 1].numpy().mean((1, 2))),
    (class_logit(3) ** 2 + 0.5, LOGITS[:, 3].numpy() ** 2 + 0.5),
]
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip


@st.composite
def _expressions(draw: st.DrawFn, depth: int = 3) -> tuple[Any, Any, bool]:
    """An objective, its value by numpy, and whether that is surely positive (so it may be divided by)."""
    kind = draw(st.sampled_from(["leaf", "number", "both", "negative", "power"])) if depth else "leaf"
    if kind == "leaf":
        return (*draw(st.sampled_from(LEAVES)), True)
    left, left_value, positive = draw(_expressions(depth - 1))
    if kind == "negative":
        return -left, -left_value, False
    if kind == "power":
        power = draw(st.sampled_from([2, 3, -1, 0.5]))
        return (left**power, left_value**power, True) if positive else (left**2, left_value**2, False)
    symbol = draw(st.sampled_from(sorted(OPERATORS)))
    combine = OPERATORS[symbol]
    if kind == "number":
        number = draw(st.floats(0.1, 10) | st.integers(1, 9))
        if draw(st.booleans()) and (positive or symbol != "/"):
            return combine(number, left), combine(number, left_value), positive and symbol != "-"
        return combine(left, number), combine(left_value, number), positive and symbol != "-"
    right, right_value, right_positive = draw(_expressions(depth - 1))
    if symbol == "/" and not right_positive:
        symbol, combine = "*", operator.mul
    return combine(left, right), combine(left_value, right_value), positive and right_positive and symbol != "-"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(_expressions())
def test_algebra_is_that_of_numbers(expression: tuple[Objective, Any, bool]) -> None:
    objective, expected, _ = expression
    found = objective(FEATURES)
    assert found.shape == (4,)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.sampled_from(LEAVES), st.sampled_from(LEAVES), st.sampled_from(sorted(OPERATORS)), st.floats(0.5, 3))
def test_operands_never_change(left: Any, right: Any, symbol: str, number: float) -> None:
    first, second = left[0], right[0]
    before = [(o.name, o.layers, o(FEATURES).clone(), o.value) for o in (first, second)]
    combine = OPERATORS[symbol]
    results = [combine(first, second), combine(first, number), combine(number, first), -first, first**number]
    total = first
    total += second  # rebinds the name, leaves the object
    assert all(result is not first and result is not second for result in [*results, total])
    assert results[0].layers == first.layers | second.layers
    for objective, (name, layers, value, function) in zip((first, second), before, strict=True):
        assert (objective.name, objective.layers, objective.value) == (name, layers, function)
        assert torch.equal(objective(FEATURES), value)
    with pytest.raises(AttributeError):
        first.name = "other"


def test_names_say_what_was_built() -> None:
    objective = channel("conv", 1) - 0.5 * neuron("conv", 2, (0, 3))
    assert str(objective) == "(conv:1 - (conv:2@0,3 * 0.5))"
    assert objective.layers == {"conv"} and (objective + class_logit(1)).layers == {"conv", "logits"}


@pytest.mark.parametrize(("at", "row", "column"), [(None, 3, 3), ((0, 0), 0, 0), ((6, 5), 6, 5), ((0, 4), 0, 4)])
def test_neuron_is_one_position(at: tuple[int, int] | None, row: int, column: int) -> None:
    assert torch.equal(neuron("conv", 4, at)(FEATURES), MAPS[:, 4, row, column])


def test_units_of_flat_layers() -> None:
    for make in (neuron, channel):
        assert torch.equal(make("logits", 7)(FEATURES), LOGITS[:, 7])
    assert torch.equal(class_logit(7)(FEATURES), LOGITS[:, 7])


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (channel("conv", 5), "channels 0 to 4"),
        (channel("conv", -1), "channels 0 to 4"),
        (neuron("conv", 0, (7, 0)), "rows 0 to 6"),
        (neuron("conv", 0, (0, -1)), "columns 0 to 5"),
        (class_logit(10), "channels 0 to 9"),
        (direction("conv", torch.ones(4)), r"\(5,\)"),
        (each([channel("conv", 0)] * 3), "3 objectives"),
    ],
)
def test_out_of_range(objective: Objective, message: str) -> None:
    with pytest.raises(InputError, match=message):
        objective(FEATURES)


def test_layer_norm_has_the_activation_as_gradient() -> None:
    features = MAPS.clone().requires_grad_()
    layer_norm("conv")({"conv": features}).sum().backward()
    torch.testing.assert_close(features.grad, MAPS / MAPS[0].numel())


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("layer", ["conv", "logits"])
def test_direction(layer: str, power: float) -> None:
    features = FEATURES[layer]
    vector = torch.linspace(-1, 2, features.shape[1])
    columns = features.flatten(2).numpy() if features.ndim == 4 else features[:, :, None].numpy()
    along = vector.double().numpy()
    dot = np.einsum("bcn,c->bn", columns, along)
    cosine = dot / np.linalg.norm(columns, axis=1) / np.linalg.norm(along)
    expected = (dot * np.maximum(cosine, 0.1) ** power).mean(1)
    np.testing.assert_allclose(direction(layer, vector, power)(FEATURES).numpy(), expected, rtol=1e-6)


def test_each_picture_has_its_own_unit() -> None:
    units = [channel("conv", 3), class_logit(2), neuron("conv", 0, (1, 1)) * 2, channel("conv", 3) + class_logit(9)]
    objective = each(units)
    assert objective.layers == {"conv", "logits"}
    for i, unit in enumerate(units):
        assert torch.equal(objective(FEATURES)[i], unit(FEATURES)[i])


def test_each_gives_gradient_to_its_own_picture_only() -> None:
    features = {name: tensor.clone().requires_grad_() for name, tensor in FEATURES.items()}
    each([channel("conv", i) for i in range(4)])(features)[2].backward()
    reached = features["conv"].grad.flatten(2).abs().sum(2) > 0
    assert reached.nonzero().tolist() == [[2, 2]]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_interpolate_goes_across_the_batch(count: int) -> None:
    features = {name: tensor[:count] for name, tensor in FEATURES.items()}
    first, second = channel("conv", 1), class_logit(4)
    found = interpolate(first, second)(features).numpy()
    share = np.linspace(0, 1, count)
    np.testing.assert_allclose(found, (1 - share) * first(features).numpy() + share * second(features).numpy())


def _neighbours(features: Tensor) -> np.ndarray[Any, Any]:
    count = len(features)
    apart = [((features[i + 1] - features[i]) ** 2).mean().item() for i in range(count - 1)]
    return np.array([-(sum(apart[max(i - 1, 0) : i]) + sum(apart[i : i + 1])) / 2 for i in range(count)])


@pytest.mark.parametrize("layer", ["conv", "logits"])
def test_alignment_is_distance_to_the_neighbours(layer: str) -> None:
    np.testing.assert_allclose(alignment(layer)(FEATURES).numpy(), _neighbours(FEATURES[layer]))
    same = {layer: FEATURES[layer][:1].expand_as(FEATURES[layer])}
    assert not alignment(layer)(same).any()
    assert alignment(layer)({layer: FEATURES[layer][:1]}).tolist() == [0.0]


@pytest.mark.parametrize("layer", ["conv", "logits"])
def test_diversity_is_the_cosine_of_gram_matrices(layer: str) -> None:
    grams = []
    for features in FEATURES[layer]:
        columns = features.flatten(1) if features.ndim == 3 else features[:, None]
        grams.append((columns @ columns.T).flatten())
    cosine = F.cosine_similarity(torch.stack(grams)[:, None], torch.stack(grams)[None], dim=2)
    expected = [-np.mean([cosine[i, j].item() for j in range(4) if j != i]) for i in range(4)]
    np.testing.assert_allclose(diversity(layer)(FEATURES).numpy(), expected, rtol=1e-9)
    alike = diversity(layer)({layer: FEATURES[layer][:1].expand_as(FEATURES[layer])})
    np.testing.assert_allclose(alike.numpy(), -1.0)
    assert diversity(layer)({layer: FEATURES[layer][:1]}).tolist() == [0.0]


def test_picture_is_a_layer_like_others() -> None:
    assert layer_norm(PICTURE)({PICTURE: torch.full((2, 3, 4, 4), 2.0)}).tolist() == [2.0, 2.0]
