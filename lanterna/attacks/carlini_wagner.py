"""Carlini and Wagner's attack: the smallest change in L2, found by descent for a weight that a binary search finds.

Carlini and Wagner, "Towards Evaluating the Robustness of Neural Networks", IEEE S&P 2017.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lanterna.attacks.checks import check_inputs, check_network
from lanterna.attacks.criteria import Criterion, Misclassified
from lanterna.attacks.result import Attacked, Read, Teller, finish, spread
from lanterna.errors import InputError
from lanterna.events import Listener
from lanterna.networks.network import LOGITS, Network

__all__ = ["carlini_wagner_l2"]

# Keeps the inverse hyperbolic tangent finite at black and white.
_INSIDE = 0.999999
_BETA1, _BETA2, _TINY = 0.9, 0.999, 1e-8  # Adam's, Kingma and Ba 2015
# Where the weight is guessed: how far above what a flat frontier would need the search begins.
_ABOVE = 2.0
# Where the step is guessed: the share of the way to the frontier, spread over all values, that one step goes.
_SHARE = 0.1


@dataclass
class _Best:
    """The nearest picture that fools so far, and how far it is."""

    pictures: Tensor
    l2: Tensor


def carlini_wagner_l2(
    network: Network,
    pictures: Tensor,
    labels: Tensor,
    *,
    search_steps: int = 5,
    steps: int = 100,
    step_size: float | None = None,
    initial_weight: float | None = None,
    criterion: Criterion | None = None,
    on_event: Listener | None = None,
) -> Attacked:
    """The smallest change in L2 that meets the criterion, by Adam on the distance plus a weight times the missing margin.

    `pictures` (B, C, H, W) in [0, 1]; `labels` (B,) their classes. The weight is searched for each picture on its own in
    `search_steps` runs of at most `steps` steps; a picture leaves a run once its loss no longer falls (looked at ten times
    a run), and the
    others go on without it. `step_size` is Adam's, in the space behind the hyperbolic tangent, and `initial_weight` what
    the search
    begins with. Both are by default guessed for each picture from its margin and gradient, where the paper has 0.01 and
    0.001 for
    all: a departure, as those constants suit small pictures. Raises InputError and NetworkError as `check` does.
    Carlini and Wagner 2017.
    """
    if search_steps < 1 or steps < 1:
        raise InputError(f"{search_steps} search steps of {steps} steps are too few; at least 1 of each")
    check_inputs(network, pictures, labels)
    wanted = criterion or Misclassified(labels)
    start = pictures.detach()
    hidden = torch.atanh((2 * start - 1) * _INSIDE)
    passes = torch.zeros(len(start), dtype=torch.long, device=start.device)
    best = _Best(start.clone(), torch.full((len(start),), torch.inf, device=start.device))
    with network.reading([LOGITS]) as reading:

        def read(shown: Tensor) -> Tensor:
            return reading(shown)[LOGITS]

        check_network(network, read, start, labels)
        teller = Teller(on_event, search_steps * steps, len(start))
        weight, rate = _guess(read, start, wanted)
        passes += 1
        if initial_weight is not None:
            weight = torch.full_like(weight, initial_weight)
        if step_size is not None:
            rate = torch.full_like(rate, step_size)
        low, high = torch.zeros_like(weight), torch.full_like(weight, torch.inf)
        for search in range(search_steps):
            if teller.stopped:
                break
            found = _run(read, start, hidden, weight, rate, wanted, steps, best, passes, teller, search)
            high, low = torch.where(found, weight, high), torch.where(found, low, weight)
            # Halving in logarithms where a guess is near already; without a lower end, a tenth of what was enough.
            middle = (
                (low + high) / 2 if initial_weight is not None else (low.clamp(min=1e-12) * high).sqrt().maximum(high / 10)
            )
            weight = torch.where(high.isinf(), weight * 10, middle)
        return finish(read, start, best.pictures, wanted, passes, teller.done())


def _guess(read: Read, start: Tensor, wanted: Criterion) -> tuple[Tensor, Tensor]:
    """The weight that a flat frontier needs, twice the margin by the squared gradient, and a step in proportion to the
    way."""
    here = start.clone().requires_grad_(True)
    margin = wanted.margin(read(here))
    (gradient,) = torch.autograd.grad(margin.sum(), here)
    length = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)
    missing = (-margin.detach()).clamp(min=1e-6)
    way = missing / length / start[0].numel() ** 0.5
    # Half the slope of the hyperbolic tangent is lost to the change from [-1, 1] to [0, 1].
    return _ABOVE * 2 * missing / length.square(), (2 * _SHARE * way).clamp(1e-5, 0.1)


def _run(
    read: Read,
    start: Tensor,
    hidden: Tensor,
    weight: Tensor,
    rate: Tensor,
    wanted: Criterion,
    steps: int,
    best: _Best,
    passes: Tensor,
    teller: Teller,
    search: int,
) -> Tensor:
    """One run of Adam for each picture with its weight; `best` and `passes` are brought up to date. Which ones fooled
    (B,)."""
    active = torch.arange(len(start), device=start.device)
    found = torch.zeros(len(start), dtype=torch.bool, device=start.device)
    change, first, second = (torch.zeros_like(start) for _ in range(3))
    # Distances are from what the tangent gives back of the picture: at black and white it is a little off.
    back = (hidden.tanh() + 1) / 2
    checked = torch.full((len(start),), torch.inf, device=start.device)
    every = -(-steps // 10)
    for step in range(steps):
        change.requires_grad_(True)
        shown = ((hidden + change).tanh() + 1) / 2
        logits = read(shown)
        criterion = wanted.take(active)
        loss = (shown - back).square().flatten(1).sum(1) + weight[active] * (-criterion.margin(logits)).clamp(min=0)
        (gradient,) = torch.autograd.grad(loss.sum(), change)
        passes[active] += 1
        with torch.no_grad():
            fooled = criterion.met(logits)
            found[active] |= fooled
            l2 = (shown - start[active]).flatten(1).norm(dim=1)
            better = fooled & (l2 < best.l2[active])
            best.l2[active[better]] = l2[better]
            best.pictures[active[better]] = shown.detach()[better]
            first = torch.lerp(first, gradient, 1 - _BETA1)
            second = torch.lerp(second, gradient.square(), 1 - _BETA2)
            move = (first / (1 - _BETA1 ** (step + 1))) / ((second / (1 - _BETA2 ** (step + 1))).sqrt() + _TINY)
            change = change.detach() - spread(rate[active]) * move
            if step % every == 0:
                going = loss <= 0.9999 * checked[active]
                checked[active] = loss
                if not bool(going.all()):
                    active, change, first, second = active[going], change[going], first[going], second[going]
                    hidden, back = hidden[going], back[going]
        if teller.step(search * steps + step + 1) or len(active) == 0:
            break
    return found
