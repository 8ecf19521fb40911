"""Random noise: the control for every attack. What it does not do at the same size, the gradient did."""

import torch
from torch import Tensor

from lanterna.attacks.checks import check_effort, check_inputs
from lanterna.attacks.criteria import Criterion, Misclassified
from lanterna.attacks.result import Attacked, Teller, finish, rounded, spread
from lanterna.events import Listener
from lanterna.networks.network import LOGITS, Network

__all__ = ["noise_of_norm", "uniform_noise_linf"]


def uniform_noise_linf(
    network: Network,
    pictures: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int = 40,
    criterion: Criterion | None = None,
    generator: torch.Generator | None = None,
    on_event: Listener | None = None,
) -> Attacked:
    """Noise of random signs and size `epsilon`, drawn anew up to `steps` times until it fools: no gradient is used.

    Every value is changed by the most that is allowed, so its L2 is the greatest in the ball. Raises InputError.
    """
    check_effort(steps, epsilon)
    check_inputs(network, pictures, labels)
    wanted = criterion or Misclassified(labels)
    generator = generator or torch.Generator().manual_seed(0)
    start = pictures.detach()
    current = start.clone()
    active = torch.arange(len(start), device=start.device)
    with network.reading([LOGITS]) as reading, torch.no_grad():
        teller = Teller(on_event, steps, len(start))
        for _ in range(steps):
            if teller.stopped or len(active) == 0:
                break
            signs = torch.randint(0, 2, (len(active), *start.shape[1:]), generator=generator) * 2 - 1
            current[active] = (start[active] + epsilon * signs.to(start.device)).clamp(0, 1)
            fooled = wanted.take(active).met(reading(rounded(current[active]))[LOGITS])
            active = active[~fooled]
            teller.step()
        none = torch.zeros(len(start), dtype=torch.long, device=start.device)
        return finish(lambda shown: reading(shown)[LOGITS], start, current, wanted, none, teller.done())


def noise_of_norm(pictures: Tensor, changed: Tensor, generator: torch.Generator) -> Tensor:
    """`pictures` (B, C, H, W) with the very changes of `changed`, but in random places and with random signs, in [0, 1].

    So the noise has the same size in every norm, but for what the ends of [0, 1] cut off; that is given back in L2 by
    scaling.
    """
    change = changed - pictures
    shuffled = torch.stack([one.flatten()[torch.randperm(one.numel(), generator=generator)] for one in change.cpu()])
    signs = torch.randint(0, 2, shuffled.shape, generator=generator) * 2 - 1
    noise = (shuffled * signs).view_as(change).to(change)
    wanted = change.flatten(1).norm(dim=1)
    for _ in range(4):
        found = ((pictures + noise).clamp(0, 1) - pictures).flatten(1).norm(dim=1)
        noise = noise * spread(wanted / found.clamp(min=1e-12))
    return (pictures + noise).clamp(0, 1)
