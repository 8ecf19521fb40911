"""Attacks: small changes of a picture that make a network see something else.

Each is a pure, vectorised function `attack(network, pictures, labels, ...)` from pictures (B, C, H, W) in [0, 1] and their
classes (B,) to an `Attacked`; each picture stops by itself. What counts as fooled is a criterion, an object.
"""

from lanterna.attacks.carlini_wagner import carlini_wagner_l2
from lanterna.attacks.checks import check
from lanterna.attacks.criteria import ConfidenceAbove, Criterion, Misclassified, Targeted
from lanterna.attacks.deepfool import deepfool_l2
from lanterna.attacks.gradient import (
    fast_gradient_sign,
    projected_gradient_descent_l2,
    projected_gradient_descent_linf,
)
from lanterna.attacks.levels import refine_levels
from lanterna.attacks.noise import noise_of_norm, uniform_noise_linf
from lanterna.attacks.result import Attacked, rounded

__all__ = [
    "Attacked",
    "ConfidenceAbove",
    "Criterion",
    "Misclassified",
    "Targeted",
    "carlini_wagner_l2",
    "check",
    "deepfool_l2",
    "fast_gradient_sign",
    "noise_of_norm",
    "projected_gradient_descent_l2",
    "projected_gradient_descent_linf",
    "refine_levels",
    "rounded",
    "uniform_noise_linf",
]
