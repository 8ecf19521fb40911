"""Back onto the grid of 8 bits."""

import tiny
import torch

from lanterna import attacks, pictures
from lanterna.attacks import Misclassified, refine_levels


def _near_the_frontier() -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures that nearly fool, and their classes."""
    network = tiny.network()
    shown = torch.cat([network.preprocessing.fit(pictures.load(name)) for name in ("coffee", "astronaut", "rocket")])
    shown = attacks.rounded(shown)
    labels = network.logits(shown).argmax(1)
    raw = attacks.carlini_wagner_l2(network, shown, labels)
    return shown + 0.9 * (raw.pictures - shown), labels


def test_whole_levels_and_a_fooled_network() -> None:
    shown, labels = _near_the_frontier()
    assert (tiny.network().logits(attacks.rounded(shown)).argmax(1) == labels).all()
    made, moved, passes = refine_levels(tiny.network(), shown, Misclassified(labels))
    assert torch.allclose(made * 255, (made * 255).round(), atol=1e-3) and made.min() >= 0 and made.max() <= 1
    assert (tiny.network().logits(made).argmax(1) != labels).all()
    assert torch.equal(moved, (made != attacks.rounded(shown)).flatten(1).sum(1)) and (moved > 0).all()
    assert ((passes > 1) & (passes <= 41)).all()


def test_what_fools_already_is_only_rounded() -> None:
    shown, labels = _near_the_frontier()
    made, moved, _ = refine_levels(tiny.network(), shown, Misclassified((labels + 1) % 6))
    assert torch.equal(made, attacks.rounded(shown)) and not moved.any()


def test_what_is_not_reached_comes_back_as_it_was() -> None:
    shown, labels = _near_the_frontier()
    made, moved, _ = refine_levels(tiny.network(), shown, Misclassified(labels), steps=0)
    assert torch.equal(made, attacks.rounded(shown)) and not moved.any()
