"""Carlini and Wagner's attack: the smallest change in L2, found by descent for a weight that a search finds.

Carlini and Wagner, "Towards Evaluating the Robustness of Neural Networks", IEEE S&P 2017.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lanterna.ascent import cosine
from lanterna.attacks.checks import check_inputs, check_network
from lanterna.attacks.criteria import Criterion, Misclassified
from lanterna.attacks.result import Attacked, Read, Teller, finish, spread
from lanterna.errors import InputError
from lanterna.events import Listener
from lanterna.networks.network import LOGITS, Network

__all__ = ["carlini_wagner_l2"]

# Keeps the inverse hyperbolic tangent finite at black and white.
_INSIDE = 0.999999
# Steps over the frontier, taken as flat, before the descent begins, and how far each goes beyond.
_FLAT_STEPS, _BEYOND = 10, 1.05
# Adam's, with a shorter memory than Kingma and Ba's 0.9 and 0.999: runs have tens of steps and not thousands.
_BETA1, _BETA2, _TINY = 0.8, 0.99, 1e-12
# The step of the first run, as a share of the distance that is left when all values move at once; each run has half of the
# one before.
_SHARE, _NARROWER = 0.6, 0.5
# The weight that the search begins with, in units of the least that holds a picture at a flat frontier.
_ABOVE = 1.5
# A picture is done once a run brings it less than this nearer.
_WORTH = 0.01


@dataclass
class _State:
    """Where each picture of the batch is: `changed` and `l2` are the nearest that fools, or the last where none does yet."""

    changed: Tensor
    l2: Tensor
    fooled: Tensor
    weight: Tensor
    low: Tensor
    high: Tensor
    passes: Tensor

    def search(self, rows: Tensor, held: Tensor) -> None:
        """Bring the weight of `rows` between what did not hold the frontier and what did."""
        weight = self.weight[rows]
        self.high[rows] = torch.where(held, weight, self.high[rows])
        self.low[rows] = torch.where(held, self.low[rows], weight)
        low, high = self.low[rows], self.high[rows]
        # The paper's factor of 10 as long as no weight was enough.
        self.weight[rows] = torch.where(high.isinf(), weight * 10, (low + high) / 2)


def carlini_wagner_l2(
    network: Network,
    pictures: Tensor,
    labels: Tensor,
    *,
    search_steps: int = 3,
    steps: int = 40,
    criterion: Criterion | None = None,
    on_event: Listener | None = None,
) -> Attacked:
    """The smallest change in L2 that meets the criterion, by Adam on the distance plus a weight times the missing margin.

    `pictures` (B, C, H, W) in [0, 1]; `labels` (B,) their classes. The weight is searched for each picture on its own in at
    most `search_steps` runs of `steps` steps; a picture is done once a run brings it less than 1 % nearer, and the others go
    on without it. Raises InputError and NetworkError as `check` does.

    Departures from the paper, which takes ten thousand steps: the descent begins beyond the nearest frontier, taken as flat,
    and each later run at the best picture of the one before; the step is a share of the distance, and falls to nothing along
    a cosine; the search begins near the weight that a flat frontier needs. Carlini and Wagner 2017.
    """
    if search_steps < 1 or steps < 1:
        raise InputError(f"{search_steps} search steps of {steps} steps are too few; at least 1 of each")
    check_inputs(network, pictures, labels)
    wanted = criterion or Misclassified(labels)
    start = pictures.detach()
    with network.reading([LOGITS]) as reading:

        def read(shown: Tensor) -> Tensor:
            return reading(shown)[LOGITS]

        check_network(network, read, start, labels)
        teller = Teller(on_event, search_steps * steps, len(start))
        state = _cross(read, start, wanted, 1 if teller.stopped else _FLAT_STEPS)
        # What fools as it is needs no change.
        active = (~state.fooled | (state.l2 > 0)).nonzero()[:, 0]
        for search in range(search_steps):
            if teller.stopped or len(active) == 0:
                break
            before = torch.where(state.fooled, state.l2, torch.inf)[active]
            held = _run(read, start, active, wanted, state, _SHARE * _NARROWER**search, steps, teller, search)
            state.search(active, held)
            nearer = ~state.fooled[active] | (state.l2[active] < (1 - _WORTH) * before)
            active = active[nearer]
        return finish(read, start, state.changed, wanted, state.passes, teller.done())


def _cross(read: Read, start: Tensor, wanted: Criterion, steps: int) -> _State:
    """The first picture beyond the frontier, by steps that take it as flat, and the weight that such a frontier needs."""
    changed = start.clone()
    fooled = torch.zeros(len(start), dtype=torch.bool, device=start.device)
    passes = torch.zeros(len(start), dtype=torch.long, device=start.device)
    slope = torch.ones(len(start), device=start.device)
    active = torch.arange(len(start), device=start.device)
    for _ in range(steps):
        here = changed[active].requires_grad_(True)
        logits, criterion = read(here), wanted.take(active)
        fooled[active] = criterion.met(logits.detach())
        margin = criterion.margin(logits)
        (gradient,) = torch.autograd.grad(margin.sum(), here)
        passes[active] += 1
        length = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)
        slope[active] = length
        # Where both classes are level, the least that still is a step.
        missing = (-margin.detach()).clamp(min=1e-6)
        step = gradient * spread(_BEYOND * missing / length.square())
        going = ~fooled[active]
        active = active[going]
        if len(active) == 0:
            break
        changed[active] = (here.detach() + step)[going].clamp(0, 1)
    l2 = (changed - start).flatten(1).norm(dim=1)
    # At the nearest point of a frontier the two gradients cancel: twice the distance, and the weight times the slope.
    weight = _ABOVE * 2 * l2 / slope
    return _State(changed, l2, fooled, weight, torch.zeros_like(weight), torch.full_like(weight, torch.inf), passes)


def _run(
    read: Read,
    start: Tensor,
    active: Tensor,
    wanted: Criterion,
    state: _State,
    share: float,
    steps: int,
    teller: Teller,
    search: int,
) -> Tensor:
    """One run of Adam for the pictures in `active`, each with its weight; `state` is brought up to date.

    Gives which ones still fooled in its second half, (active,): their weight is enough to hold them at the frontier.
    """
    here, criterion, weight = start[active], wanted.take(active), state.weight[active]
    held = torch.zeros(len(active), dtype=torch.bool, device=start.device)
    hidden = torch.atanh((2 * here - 1) * _INSIDE)
    # Distances are from what the tangent gives back of the picture: at black and white it is a little off.
    back = (hidden.tanh() + 1) / 2
    change = torch.atanh((2 * state.changed[active] - 1) * _INSIDE) - hidden
    # Half the slope of the hyperbolic tangent is lost to the change from [-1, 1] to [0, 1].
    rate = spread(2 * share * state.l2[active] / start[0].numel() ** 0.5)
    first, second = torch.zeros_like(here), torch.zeros_like(here)
    for step in range(steps):
        change.requires_grad_(True)
        shown = ((hidden + change).tanh() + 1) / 2
        logits = read(shown)
        loss = (shown - back).square().flatten(1).sum(1) + weight * (-criterion.margin(logits)).clamp(min=0)
        (gradient,) = torch.autograd.grad(loss.sum(), change)
        state.passes[active] += 1
        with torch.no_grad():
            fooled = criterion.met(logits)
            if 2 * step >= steps - 1:
                held |= fooled
            l2 = (shown - here).flatten(1).norm(dim=1)
            better = fooled & (~state.fooled[active] | (l2 < state.l2[active]))
            rows = active[better]
            state.changed[rows], state.l2[rows], state.fooled[rows] = shown.detach()[better], l2[better], True
            first = torch.lerp(first, gradient, 1 - _BETA1)
            second = torch.lerp(second, gradient.square(), 1 - _BETA2)
            move = (first / (1 - _BETA1 ** (step + 1))) / ((second / (1 - _BETA2 ** (step + 1))).sqrt() + _TINY)
            change = change.detach() - cosine(step / steps) * rate * move
        if teller.step(search * steps + step + 1):
            break
    return held
