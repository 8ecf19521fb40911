"""DeepFool: the shortest way over the nearest of the frontiers, taken as flat at each step.

Moosavi-Dezfooli, Fawzi and Frossard, "DeepFool: a simple and accurate method to fool deep neural networks", CVPR 2016.
"""

import torch
from torch import Tensor

from lanterna.attacks.checks import check_effort, check_inputs, check_network
from lanterna.attacks.criteria import Criterion, Misclassified
from lanterna.attacks.result import Attacked, Teller, finish, spread
from lanterna.errors import InputError
from lanterna.events import Listener
from lanterna.networks.network import LOGITS, Network

__all__ = ["deepfool_l2"]

# Added to each distance, as foolbox does, so that a step over a frontier that is nearly reached is still a step.
_NUDGE = 1e-4


def deepfool_l2(
    network: Network,
    pictures: Tensor,
    labels: Tensor,
    *,
    steps: int = 50,
    candidates: int = 10,
    overshoot: float = 0.02,
    criterion: Misclassified | None = None,
    on_event: Listener | None = None,
) -> Attacked:
    """The smallest change in L2 to any other class, nearly.

    `pictures` (B, C, H, W) in [0, 1]; `labels` (B,) their classes; `candidates` how many of the best classes are looked at;
    `overshoot` the share that the whole way is prolonged, to be on the other side. One forward pass serves all candidates,
    and each picture ends by itself. Raises InputError and NetworkError as `check` does. Moosavi-Dezfooli et al. 2016.
    """
    if candidates < 2:
        raise InputError(f"{candidates} candidates are too few; at least 2 classes make a frontier")
    check_effort(steps)
    check_inputs(network, pictures, labels)
    wanted: Criterion = criterion or Misclassified(labels)
    start = pictures.detach()
    current, change = start.clone(), torch.zeros_like(start)
    active = torch.arange(len(start), device=start.device)
    passes = torch.zeros_like(active)
    with network.reading([LOGITS]) as reading:

        def read(shown: Tensor) -> Tensor:
            return reading(shown)[LOGITS]

        check_network(network, read, start, labels)
        teller = Teller(on_event, steps, len(start))
        # The label itself first: where the network is right, it is the best one anyway.
        with torch.no_grad():
            best = read(start).scatter(1, labels[:, None], torch.inf).argsort(1, descending=True)[:, :candidates]
        for _ in range(steps):
            if teller.stopped:
                break
            here = current[active].requires_grad_(True)
            logits = read(here)
            keep = (~wanted.take(active).met(logits.detach())).nonzero()[:, 0]
            if len(keep) == 0:
                break
            classes = best[active]
            lead = logits.gather(1, classes[:, 1:]) - logits.gather(1, classes[:, :1])
            step = _nearest(lead, here, keep)
            rows = active[keep]
            passes[rows] += lead.shape[1]
            change[rows] += step
            current[rows] = (start[rows] + (1 + overshoot) * change[rows]).clamp(0, 1)
            active = rows
            teller.step()
        return finish(read, start, current, wanted, passes, teller.done())


def _nearest(lead: Tensor, here: Tensor, keep: Tensor) -> Tensor:
    """The step to the nearest of the frontiers, for the pictures in `keep`; one candidate's gradient in memory at a time."""
    least: Tensor | None = None
    step = torch.zeros_like(here[keep])
    count = lead.shape[1]
    for candidate in range(count):
        (gradient,) = torch.autograd.grad(lead[keep, candidate].sum(), here, retain_graph=candidate < count - 1)
        gradient = gradient[keep]
        length = gradient.flatten(1).norm(dim=1) + 1e-8
        distance = lead[keep, candidate].detach().abs() / length
        nearer = torch.ones_like(distance, dtype=torch.bool) if least is None else distance < least
        least = distance if least is None else torch.minimum(least, distance)
        step = torch.where(spread(nearer), gradient * spread((distance + _NUDGE) / length), step)
    return step.detach()
