"""What makes attacks look stronger or weaker than they are, refused before they begin.

Carlini et al., "On Evaluating Adversarial Robustness", 2019; Athalye, Carlini and Wagner, "Obfuscated Gradients Give a False
Sense of Security", ICML 2018.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.attacks.criteria import Misclassified
from lanterna.attacks.result import Read
from lanterna.errors import InputError, NetworkError
from lanterna.networks.network import LOGITS, Network

__all__ = ["check", "check_effort", "check_gradient", "check_inputs", "check_logits", "check_network", "no_slope"]

# Pictures that the network is tried with: its nature shows in two.
_TRIED = 2


def check(network: Network, pictures: Tensor, labels: Tensor) -> None:
    """Raise InputError or NetworkError where an attack on `pictures` (B, C, H, W) with `labels` (B,) would mislead.

    That is: pictures outside [0, 1], a network in training mode, one that gives other answers to the same picture,
    probabilities instead of logits, and gradients that are zero.
    """
    check_inputs(network, pictures, labels)
    with network.reading([LOGITS]) as read:
        check_network(network, lambda shown: read(shown)[LOGITS], pictures, labels)


def check_effort(steps: int, epsilon: float | None = None) -> None:
    """Raise InputError for no steps at all, which would look like a network that nothing fools, and for no distance."""
    if epsilon is not None and not epsilon > 0:
        raise InputError(f"epsilon {epsilon:g} is not allowed; it is a distance above 0, such as 2/255")
    if steps < 1:
        raise InputError(f"{steps} steps are too few; at least 1")


def check_inputs(network: Network, pictures: Tensor, labels: Tensor) -> None:
    """Raise InputError for pictures and labels that are not what attacks take."""
    if pictures.ndim != 4 or len(pictures) == 0 or not pictures.is_floating_point():
        raise InputError(f"pictures of shape {tuple(pictures.shape)}, {pictures.dtype}; give floats (B, C, H, W) in [0, 1]")
    low, high = float(pictures.min()), float(pictures.max())
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"pictures have values from {low:g} to {high:g}; attacks take sRGB in [0, 1], and {network.name} normalises "
            f"them itself"
        )
    if labels.shape != (len(pictures),) or labels.dtype != torch.long:
        raise InputError(
            f"{len(pictures)} pictures need as many class numbers, torch.long, not labels of shape {tuple(labels.shape)}, "
            f"{labels.dtype}"
        )
    shape = network.layer(LOGITS).shape
    if len(shape) != 1 or shape[0] < 2:
        raise NetworkError(
            f"{network.name} is not a classifier: its output is {shape}, not one logit for each of 2 or more classes"
        )
    if bool((wrong := (labels < 0) | (labels >= shape[0])).any()):
        raise InputError(f"class {int(labels[wrong][0])} is out of range; {network.name} has classes 0 to {shape[0] - 1}")
    if any(part.training for part in network.module.modules()):
        raise NetworkError(
            f"{network.name} is in training mode, where dropout and batch statistics make attacks look weak; call its "
            f"module's eval()"
        )


def check_network(network: Network, read: Read, pictures: Tensor, labels: Tensor) -> None:
    """Raise NetworkError for a network that gives probabilities, answers at random, or has no gradient."""
    some, theirs = pictures[:_TRIED].detach().clone().requires_grad_(True), labels[:_TRIED]
    logits = read(some)
    check_logits(network, read, some, logits)
    (margin,) = torch.autograd.grad(Misclassified(theirs).margin(logits).sum(), some, retain_graph=True)
    (loss,) = torch.autograd.grad(F.cross_entropy(logits, theirs, reduction="sum"), some)
    check_gradient(network, margin)
    if bool((loss == 0).flatten(1).all(1).any()):
        gap = float(logits.detach().abs().amax())
        raise NetworkError(
            f"the logits of {network.name} reach {gap:.0f}, so far apart that cross entropy has no gradient left (masked); "
            "divide them by a temperature"
        )


def check_logits(network: Network, read: Read, pictures: Tensor, logits: Tensor) -> None:
    """Raise NetworkError where the `logits` (B, classes) of a pass over `pictures` are probabilities or left to chance.

    It costs one more picture, read alone.
    """
    with torch.no_grad():
        alone, again = read(pictures[:1].detach()).float(), logits[:1].float()
    if not torch.allclose(alone, again, rtol=1e-3, atol=1e-3 * float(alone.abs().amax().clamp(min=1e-6))):
        raise NetworkError(
            f"{network.name} gives another answer to the same picture (dropout, or statistics of the batch, as in training); "
            "attacks need one that always answers alike"
        )
    sums = logits.detach().sum(1)
    if bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        raise NetworkError(
            f"{network.name} gives probabilities (they sum to 1), not logits; through a softmax gradients vanish and "
            f"attacks look weak: give the network without its last softmax"
        )
    if not logits.requires_grad:
        raise NetworkError(
            f"{network.name} lets no gradient through to the picture; attacks by gradient need one (see --attack noise)"
        )


def no_slope(gradient: Tensor) -> Tensor:
    """Which pictures have a gradient (B, C, H, W) that is zero, or not a number, in all: (B,)."""
    flat = gradient.flatten(1)
    return ~flat.isfinite().all(1) | (flat == 0).all(1)


def check_gradient(network: Network, gradient: Tensor) -> None:
    """Raise NetworkError where the gradient (B, C, H, W) is zero, or not a number, for a whole picture."""
    bad = no_slope(gradient)
    if bool(bad.any()):
        raise NetworkError(
            f"the gradient of {network.name} is zero or not finite for {int(bad.sum())} of {len(bad)} pictures: it is masked "
            "(by rounding, thresholds or saturation), and attacks by gradient would look weak; try --attack noise"
        )
