"""Attacks: they do what they say, agree with foolbox, and refuse what would mislead."""

import copy
import warnings

import pytest
import tiny
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lanterna import InputError, Network, Preprocessing, attacks
from lanterna.errors import NetworkError
from lanterna.events import STOP

with warnings.catch_warnings():
    # foolbox imports a name that scipy moved; nothing of ours.
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox

PICTURES = 16


pytestmark = pytest.mark.usefixtures("one_thread")


def sharp(scale: float = 12.0) -> Network:
    """The tiny network, spread over all six classes, with clear answers."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.Softplus(3), nn.Conv2d(6, 6, 3, stride=2, padding=1), nn.Softplus(3),
            nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(54, 6),
        )  # fmt: skip
    with torch.no_grad():
        module[-1].weight *= scale
        logits = module((batch() - 0.5) / 0.25)
        module[-1].bias -= logits.mean(0)
    preprocessing = Preprocessing(mean=(0.5,), std=(0.25,), size=(16, 16))
    return Network.wrap(module, name="sharp", preprocessing=preprocessing, labels=tiny.LABELS)


def batch() -> Tensor:
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand((PICTURES, 3, 6, 6), generator=generator)
    return attacks.rounded(nn.functional.interpolate(coarse, (16, 16), mode="bilinear").clamp(0.05, 0.95))


def labels_of(network: Network) -> Tensor:
    return network.logits(batch()).argmax(1).detach()


def oracle(network: Network) -> foolbox.PyTorchModel:
    preprocessing = {"mean": 0.5, "std": 0.25}
    return foolbox.PyTorchModel(copy.deepcopy(network.module), bounds=(0, 1), preprocessing=preprocessing, device="cpu")


ATTACKS = {
    "fgsm": lambda n, p, y, **k: attacks.fast_gradient_sign(n, p, y, epsilon=0.02, **k),
    "pgd-linf": lambda n, p, y, **k: attacks.projected_gradient_descent_linf(n, p, y, epsilon=0.02, **k),
    "pgd-l2": lambda n, p, y, **k: attacks.projected_gradient_descent_l2(n, p, y, epsilon=0.5, **k),
    "deepfool": attacks.deepfool_l2,
    "cw-l2": lambda n, p, y, **k: attacks.carlini_wagner_l2(n, p, y, search_steps=3, steps=40, **k),
    "noise": lambda n, p, y, **k: attacks.uniform_noise_linf(n, p, y, epsilon=0.02, **k),
}


def _foolbox(name: str):
    fb = foolbox.attacks
    return {
        "fgsm": (fb.LinfFastGradientAttack(random_start=False), 0.02),
        "pgd-linf": (fb.LinfPGD(steps=20, random_start=False), 0.02),
        "pgd-l2": (fb.L2PGD(steps=20, random_start=False), 0.5),
        "deepfool": (fb.L2DeepFoolAttack(steps=50, candidates=10), None),
    }[name]


SAME = {
    "fgsm": ATTACKS["fgsm"],
    "pgd-linf": lambda n, p, y: attacks.projected_gradient_descent_linf(n, p, y, epsilon=0.02, steps=20, early_stop=False),
    "pgd-l2": lambda n, p, y: attacks.projected_gradient_descent_l2(n, p, y, epsilon=0.5, steps=20, early_stop=False),
    "deepfool": attacks.deepfool_l2,
}


@pytest.mark.parametrize("name", SAME)
def test_as_strong_as_foolbox(name: str) -> None:
    network = sharp()
    labels = labels_of(network)
    ours = SAME[name](network, batch(), labels)
    attack, epsilon = _foolbox(name)
    _, theirs, success = attack(oracle(network), batch(), labels, epsilons=epsilon)
    assert abs(int(ours.success.sum()) - int(success.sum())) <= 1
    assert int(success.sum()) >= 4, "too few to compare"
    both = ours.success & success
    l2 = (theirs - batch()).flatten(1).norm(dim=1)
    assert float(ours.l2[both].median()) == pytest.approx(float(l2[both].median()), rel=0.02)


def digits() -> tuple[Network, Tensor, Tensor]:
    """A small network that was trained on real digits of 8 x 8, and some that it had not seen, with their classes."""
    data = load_digits()
    shown = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    classes = torch.tensor(data.target)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(512, 10),
        )  # fmt: skip
        tuner = torch.optim.Adam(module.parameters(), lr=3e-3)
        for _ in range(60):
            rows = torch.randperm(1200)[:256]
            tuner.zero_grad()
            nn.functional.cross_entropy(module(shown[rows]), classes[rows]).backward()
            tuner.step()
    network = Network.wrap(module, name="digits", preprocessing=Preprocessing(size=(8, 8), channels=1))
    held_out, truth = shown[1200:], classes[1200:]
    right = (network.logits(held_out).argmax(1) == truth).nonzero()[:, 0]
    assert len(right) / len(truth) > 0.85, "it has not learnt them"
    return network, held_out[right[:32]], truth[right[:32]]


def test_the_smallest_change_is_not_larger_than_foolbox_finds() -> None:
    network, shown, labels = digits()
    ours = attacks.carlini_wagner_l2(network, shown, labels)
    # So many steps that more of them, or of the search, bring it no nearer.
    attack = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=3, steps=500, stepsize=0.01, initial_const=0.1)
    model = foolbox.PyTorchModel(copy.deepcopy(network.module), bounds=(0, 1), device="cpu")
    _, theirs, success = attack(model, shown, labels, epsilons=None)
    # Training sums in another order on a busy machine, and one picture of another network may lie behind a bend.
    assert int(ours.success.sum()) >= int(success.sum()) - 1 and int(success.sum()) == len(shown)
    l2 = (theirs - shown).flatten(1).norm(dim=1)
    assert float(ours.l2.median()) <= 1.02 * float(l2.median())
    assert float(ours.l2.mean()) <= 1.02 * float(l2.mean())
    assert int(ours.passes.max()) <= 3 * 40 + 10
    assert len(set(ours.passes.tolist())) > 2, "pictures do not stop by themselves"


def test_pictures_stop_by_themselves() -> None:
    network = sharp()
    passes = ATTACKS["pgd-linf"](network, batch(), labels_of(network)).passes
    assert len(set(passes.tolist())) > 1


@pytest.mark.parametrize("name", ATTACKS)
def test_numbers_are_those_of_the_pictures(name: str) -> None:
    network = sharp()
    labels, before = labels_of(network), batch()
    made = ATTACKS[name](network, before, labels)
    assert torch.equal(before, batch()), "the pictures that went in are changed"
    assert made.pictures.min() >= 0 and made.pictures.max() <= 1
    assert torch.equal(made.success, network.logits(made.pictures).argmax(1) != labels)
    assert torch.equal(made.success_rounded, network.logits(made.pictures_rounded).argmax(1) != labels)
    assert torch.allclose(made.l2, (made.pictures - before).flatten(1).norm(dim=1))
    assert torch.allclose(made.linf_rounded, (made.pictures_rounded - before).flatten(1).abs().amax(1))
    assert all(one.grad is None for one in network.module.parameters())


@pytest.mark.parametrize(
    ("name", "bound", "radius"),
    [("fgsm", "linf", 0.02), ("pgd-linf", "linf", 0.02), ("pgd-l2", "l2", 0.5), ("noise", "linf", 0.02)],
)
def test_a_ball_is_not_left(name: str, bound: str, radius: float) -> None:
    network = sharp()
    assert getattr(ATTACKS[name](network, batch(), labels_of(network)), bound).max() <= radius + 1e-6


@pytest.mark.parametrize("name", ["pgd-linf", "deepfool", "cw-l2"])
def test_one_picture_does_not_depend_on_the_others(name: str) -> None:
    network = sharp()
    labels = labels_of(network)
    together, alone = ATTACKS[name](network, batch(), labels), ATTACKS[name](network, batch()[3:4], labels[3:4])
    assert float(alone.l2[0]) == pytest.approx(float(together.l2[3]), rel=0.02)


def test_whole_levels_stay_on_the_grid_of_8_bits() -> None:
    network = sharp()
    made = attacks.fast_gradient_sign(network, batch(), labels_of(network), epsilon=5 / 255)
    assert torch.equal(made.pictures, made.pictures_rounded) and torch.equal(made.success, made.success_rounded)


def test_early_stop_saves_passes_and_keeps_success() -> None:
    network = sharp()
    labels = labels_of(network)
    early = attacks.projected_gradient_descent_linf(network, batch(), labels, epsilon=0.02)
    whole = attacks.projected_gradient_descent_linf(network, batch(), labels, epsilon=0.02, early_stop=False)
    assert int(early.passes.sum()) < int(whole.passes.sum()) == 40 * PICTURES
    assert abs(int(early.success.sum()) - int(whole.success.sum())) <= 1


@pytest.mark.parametrize("name", ["pgd-l2", "cw-l2"])
def test_a_target_is_reached(name: str) -> None:
    network = sharp()
    labels = labels_of(network)
    target = attacks.Targeted((labels + 1) % 6)
    call = {
        "pgd-l2": lambda: attacks.projected_gradient_descent_l2(network, batch(), labels, epsilon=8, criterion=target),
        "cw-l2": lambda: attacks.carlini_wagner_l2(network, batch(), labels, criterion=target),
    }
    made = call[name]()
    assert made.success.float().mean() > 0.9
    assert torch.equal(network.logits(made.pictures).argmax(1)[made.success], target.classes[made.success])


def test_criteria_by_hand() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 5.0, 0.0]])
    own = torch.tensor([0, 0])
    assert attacks.Misclassified(own).met(logits).tolist() == [False, True]
    assert attacks.Misclassified(own).margin(logits).tolist() == [-1.0, 5.0]
    assert attacks.Targeted(torch.tensor([1, 1])).margin(logits).tolist() == [-1.0, 5.0]
    sure = attacks.ConfidenceAbove(attacks.Misclassified(own), 0.98)
    assert sure.met(logits).tolist() == [False, True]
    assert (sure.margin(logits) > 0).tolist() == sure.met(logits).tolist()
    assert attacks.ConfidenceAbove(attacks.Misclassified(own), 0.99).met(logits).tolist() == [False, False]
    with pytest.raises(InputError, match="confidence 1"):
        attacks.ConfidenceAbove(attacks.Misclassified(own), 1.0)


def test_noise_of_the_same_size_has_the_same_norms() -> None:
    before = batch()
    after = (before + 0.02 * torch.randn(before.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    noise = attacks.noise_of_norm(before, after, torch.Generator().manual_seed(1))
    wanted = (after - before).flatten(1)
    found = (noise - before).flatten(1)
    assert torch.allclose(found.norm(dim=1), wanted.norm(dim=1), rtol=0.01)
    assert torch.nn.functional.cosine_similarity(found, wanted).abs().max() < 0.1


class _Steps(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        means: Tensor = (8 * pictures).round().flatten(1)[:, :4]
        return means


def _wrapped(*after: nn.Module) -> Network:
    preprocessing = Preprocessing(size=(16, 16))
    return Network.wrap(nn.Sequential(nn.Flatten(), nn.Linear(768, 4), *after), preprocessing=preprocessing)


class _Dropped(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return nn.functional.dropout(logits, 0.5, training=True)


class _Scaled(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits * 1e5


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: _wrapped(nn.Softmax(1)), "probabilities"),
        (lambda: _wrapped(_Dropped()), "another answer"),
        (lambda: Network.wrap(_Steps(), preprocessing=Preprocessing(size=(16, 16))), "zero|lets no gradient"),
        (lambda: _wrapped(_Scaled()), "temperature"),
    ],
)
def test_networks_that_would_mislead_are_refused(network, message: str) -> None:
    made = network()
    labels = made.logits(batch()).argmax(1).detach()
    with pytest.raises(NetworkError, match=message):
        attacks.projected_gradient_descent_linf(made, batch(), labels, epsilon=0.02)


def test_training_mode_is_refused() -> None:
    network = sharp()
    labels = labels_of(network)
    network.module.train()
    for attack in ATTACKS.values():
        with pytest.raises(NetworkError, match="training mode"):
            attack(network, batch(), labels)


@pytest.mark.parametrize(
    ("pictures", "labels", "message"),
    [
        (lambda: batch() * 255, lambda: torch.zeros(PICTURES).long(), "from .* to .*0, 1"),
        (lambda: batch() - 0.5, lambda: torch.zeros(PICTURES).long(), r"\[0, 1\]"),
        (lambda: batch() * torch.nan, lambda: torch.zeros(PICTURES).long(), "nan"),
        (batch, lambda: torch.zeros(3).long(), "16 pictures"),
        (batch, lambda: torch.full((PICTURES,), 6), "class 6 is out of range"),
        (batch, lambda: torch.arange(PICTURES) % 3 - 1, "class -1 is out of range"),
        (batch, lambda: torch.zeros(PICTURES, dtype=torch.int32), "torch.long, not .* torch.int32"),
    ],
)
def test_bad_pictures_and_labels_are_refused(pictures, labels, message: str) -> None:
    for attack in ATTACKS.values():
        with pytest.raises(InputError, match=message):
            attack(sharp(), pictures(), labels())


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan")])
def test_epsilon_is_above_zero(epsilon: float) -> None:
    network = sharp()
    for attack in (attacks.fast_gradient_sign, attacks.projected_gradient_descent_l2, attacks.uniform_noise_linf):
        with pytest.raises(InputError, match="epsilon"):
            attack(network, batch(), labels_of(network), epsilon=epsilon)


@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in ("fgsm", "cw-l2")])
def test_no_steps_are_no_attack(name: str) -> None:
    network = sharp()
    with pytest.raises(InputError, match="0 steps are too few"):
        ATTACKS[name](network, batch(), labels_of(network), steps=0)


@pytest.mark.parametrize("name", ["pgd-linf", "deepfool", "cw-l2"])
def test_a_listener_stops_it(name: str) -> None:
    network = sharp()
    made = ATTACKS[name](network, batch(), labels_of(network), on_event=lambda event: STOP)
    assert made.stopped and int(made.passes.max()) <= 1
