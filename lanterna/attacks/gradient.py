"""Attacks that follow the sign or direction of the gradient inside a ball around the picture.

Goodfellow, Shlens and Szegedy, "Explaining and Harnessing Adversarial Examples", ICLR 2015 (one step); Madry et al., "Towards
Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018 (many).
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.attacks.checks import check_effort, check_inputs, check_logits, check_network, no_slope
from lanterna.attacks.criteria import Criterion, Misclassified
from lanterna.attacks.result import Attacked, Read, Teller, finish, rounded, spread
from lanterna.events import Listener
from lanterna.networks.network import LOGITS, Network

__all__ = ["fast_gradient_sign", "projected_gradient_descent_l2", "projected_gradient_descent_linf"]

Norm = Literal["l2", "linf"]

# The share of the radius that one step goes: foolbox's, so that numbers compare.
STEP_SHARE: dict[Norm, float] = {"linf": 0.01 / 0.3, "l2": 0.025}


def fast_gradient_sign(
    network: Network,
    pictures: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    criterion: Criterion | None = None,
    on_event: Listener | None = None,
) -> Attacked:
    """One step of `epsilon` along the sign of the gradient of the cross entropy.

    `pictures` (B, C, H, W) in [0, 1]; `labels` (B,) their classes; `epsilon` the greatest change of a value, in [0, 1];
    `criterion` what is wanted, by default any other class. Raises InputError and NetworkError as `check` does.
    Goodfellow et al. 2015.
    """
    return _descend(network, pictures, labels, "linf", epsilon, 1, epsilon, criterion, False, None, on_event)


def projected_gradient_descent_linf(
    network: Network,
    pictures: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int = 40,
    step_size: float | None = None,
    criterion: Criterion | None = None,
    early_stop: bool = True,
    generator: torch.Generator | None = None,
    on_event: Listener | None = None,
) -> Attacked:
    """Steps along the sign of the gradient, brought back after each to within `epsilon` of the picture in every value.

    As `fast_gradient_sign`; `step_size` is by default epsilon / 30. With `early_stop` each picture ends once it meets the
    criterion, with 8 bits too. With a `generator` it starts at random inside the ball. Madry et al. 2018.
    """
    size = STEP_SHARE["linf"] * epsilon if step_size is None else step_size
    return _descend(network, pictures, labels, "linf", epsilon, steps, size, criterion, early_stop, generator, on_event)


def projected_gradient_descent_l2(
    network: Network,
    pictures: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int = 50,
    step_size: float | None = None,
    criterion: Criterion | None = None,
    early_stop: bool = True,
    generator: torch.Generator | None = None,
    on_event: Listener | None = None,
) -> Attacked:
    """The same in a ball of Euclidean radius `epsilon`; `step_size` is by default epsilon / 40. Madry et al. 2018."""
    size = STEP_SHARE["l2"] * epsilon if step_size is None else step_size
    return _descend(network, pictures, labels, "l2", epsilon, steps, size, criterion, early_stop, generator, on_event)


def _descend(
    network: Network,
    pictures: Tensor,
    labels: Tensor,
    norm: Norm,
    epsilon: float,
    steps: int,
    size: float,
    criterion: Criterion | None,
    early_stop: bool,
    generator: torch.Generator | None,
    on_event: Listener | None,
) -> Attacked:
    check_effort(steps, epsilon)
    check_inputs(network, pictures, labels)
    wanted = criterion or Misclassified(labels)
    start = pictures.detach()
    current = start.clone() if generator is None else _random(start, norm, epsilon, generator)
    active = torch.arange(len(start), device=start.device)
    passes = torch.zeros_like(active)
    with network.reading([LOGITS]) as reading:

        def read(shown: Tensor) -> Tensor:
            return reading(shown)[LOGITS]

        teller = Teller(on_event, steps, len(start))
        for step in range(steps):
            if teller.stopped or len(active) == 0:
                break
            here, criterion_here = current[active].requires_grad_(True), wanted.take(active)
            logits = read(here)
            if step == 0:
                check_logits(network, read, here, logits)
            keep = ~_settled(read, here, logits, criterion_here) if early_stop else torch.ones_like(active, dtype=torch.bool)
            if bool(keep.any()):
                loss = F.cross_entropy(logits, criterion_here.classes, reduction="none")
                (gradient,) = torch.autograd.grad(loss[keep].sum(), here)
                rows = active[keep]
                passes[rows] += 1
                # Here the pass is checked that is needed anyway; what is wrong is looked for only where something is.
                if step == 0 and bool((flat := no_slope(gradient[keep])).any()):
                    check_network(network, read, start[rows[flat]], labels[rows[flat]])
                ahead = here.detach()[keep] + criterion_here.sign * size * _direction(gradient[keep], norm)
                current[rows] = _project(ahead, start[rows], norm, epsilon)
            active = active[keep]
            teller.step()
        return finish(read, start, current, wanted, passes, teller.done())


def _settled(read: Read, here: Tensor, logits: Tensor, criterion: Criterion) -> Tensor:
    """Which pictures fool as they are and with 8 bits; only those that do as they are get the second look."""
    settled = criterion.met(logits.detach())
    rows = settled.nonzero()[:, 0]
    if len(rows):
        with torch.no_grad():
            settled[rows] = criterion.take(rows).met(read(rounded(here.detach()[rows])))
    return settled


def _direction(gradient: Tensor, norm: Norm) -> Tensor:
    if norm == "linf":
        return gradient.sign()
    return gradient / spread(gradient.flatten(1).norm(dim=1).clamp(min=1e-12))


def _project(ahead: Tensor, start: Tensor, norm: Norm, epsilon: float) -> Tensor:
    change = ahead - start
    if norm == "linf":
        change = change.clamp(-epsilon, epsilon)
    else:
        change = change * spread((epsilon / change.flatten(1).norm(dim=1).clamp(min=1e-12)).clamp(max=1))
    return (start + change).clamp(0, 1)


def _random(start: Tensor, norm: Norm, epsilon: float, generator: torch.Generator) -> Tensor:
    if norm == "linf":
        change = epsilon * (2 * torch.rand(start.shape, generator=generator) - 1)
    else:
        # Uniform in the ball, by the Gaussian direction and the radius that its volume asks for.
        normal = torch.randn(start.shape, generator=generator)
        radius = torch.rand(len(start), generator=generator) ** (1 / start[0].numel())
        change = normal * spread(epsilon * radius / normal.flatten(1).norm(dim=1))
    return (start + change.to(start.device)).clamp(0, 1)
