import torch
from torch import Tensor

from lanterna.averaged import CarriedLBFGS
from lanterna.lbfgs import BatchLBFGS


def _minimise(problems: list[tuple[Tensor, Tensor]], steps: int, start: float = 1.0) -> Tensor:
    """Quadratic bowls with the given curvatures and centres, side by side; gives where each ends."""
    curvature, centre = (torch.stack(parts) for parts in zip(*problems, strict=True))
    x = torch.full_like(centre, start).requires_grad_(True)
    tuner = BatchLBFGS([x])

    def closure() -> Tensor:
        tuner.zero_grad()
        values = (curvature * (x - centre).square()).sum(1)
        values.sum().backward()
        return values

    for _ in range(steps):
        tuner.step(closure)
    return x.detach()


STEEP = (torch.logspace(0, 2, 6), torch.linspace(-1, 2, 6))
FLAT = (torch.full((6,), 1e-3), torch.zeros(6))


def test_a_badly_scaled_bowl_is_solved_in_few_steps() -> None:
    # Gradient descent needs hundreds of steps here: the curvatures differ by a factor of 100.
    assert torch.allclose(_minimise([STEEP], 40)[0], STEEP[1], atol=1e-3)


def test_what_stands_beside_a_problem_does_not_change_it() -> None:
    alone = _minimise([STEEP], 9)[0]
    assert torch.equal(_minimise([STEEP, FLAT], 9)[0], alone)
    assert torch.equal(_minimise([FLAT, STEEP], 9)[1], alone)


def test_without_a_gradient_nothing_moves() -> None:
    still = (torch.zeros(6), torch.zeros(6))
    assert torch.equal(_minimise([still, STEEP], 5)[0], torch.ones(6))


def test_parameters_of_several_shapes_are_one_problem() -> None:
    first, second = torch.ones(2, 3, requires_grad=True), torch.ones(2, 1, 4, requires_grad=True)
    tuner = BatchLBFGS([first, second])

    def closure() -> Tensor:
        tuner.zero_grad()
        values = (first - 2).square().sum(1) + 5 * (second + 1).square().sum((1, 2))
        values.sum().backward()
        return values

    for _ in range(20):
        tuner.step(closure)
    assert torch.allclose(first, torch.full((2, 3), 2.0), atol=1e-3)
    assert torch.allclose(second, torch.full((2, 1, 4), -1.0), atol=1e-3)


def test_what_was_learnt_at_one_size_serves_at_the_next() -> None:
    ramp = torch.linspace(1, 30, 3).view(1, 3, 1, 1)

    def run(picture: Tensor, steps: int, carried: dict[str, Tensor] | None = None) -> CarriedLBFGS:
        tuner = CarriedLBFGS([picture.requires_grad_(True)], 1.0, carried=carried)

        def closure() -> Tensor:
            tuner.zero_grad()
            values = (ramp * (picture - 0.3).square()).mean((1, 2, 3)).view(1)
            values.sum().backward()
            return values

        for _ in range(steps):
            tuner.step(closure)
        return tuner

    # As many steps as it remembers.
    small = run(torch.ones(1, 3, 4, 6), 10)
    carried, anew = (torch.ones(1, 3, 8, 12) for _ in range(2))
    run(carried, 1, small.carry((8, 12)))
    run(anew, 1)
    off, off_anew = (float((picture.detach() - 0.3).abs().max()) for picture in (carried, anew))
    assert off < 0.05 and off_anew > 0.5


def test_a_step_uphill_is_taken_back() -> None:
    # Steep walls: the first step, of length 1000, lands far above the start.
    x = torch.full((1, 2), 3.0, requires_grad=True)
    tuner = BatchLBFGS([x], first=1000.0)
    values = []

    def closure() -> Tensor:
        tuner.zero_grad()
        value = x.pow(4).sum(1)
        value.sum().backward()
        values.append(float(value.detach()))
        return value

    for _ in range(60):
        tuner.step(closure)
    assert values[1] > values[0] and values[-1] < 1e-3


def test_of_large_pictures_fewer_steps_are_remembered() -> None:
    picture = torch.ones(1, 3, 1201, 1201, requires_grad=True)
    tuner = CarriedLBFGS([picture], 1.0)

    def closure() -> Tensor:
        tuner.zero_grad()
        values = (torch.linspace(1, 30, 1201) * (picture - 0.3).square()).mean((1, 2, 3)).view(1)
        values.sum().backward()
        return values

    for _ in range(6):
        tuner.step(closure)
    assert len(tuner.pairs) == 3 == sum(name.startswith("move") for name in tuner.carry((601, 601)))
