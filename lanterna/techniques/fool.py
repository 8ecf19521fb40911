"""How a network is fooled: a picture changed so little that a person sees no difference, and another class.

Szegedy et al., "Intriguing Properties of Neural Networks", 2014; the papers of the attacks are in `lanterna.attacks`.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from lanterna import attacks
from lanterna import pictures as pictures_io
from lanterna.attacks import Attacked, ConfidenceAbove, Criterion, Misclassified, Targeted, rounded
from lanterna.errors import InputError, MissingError
from lanterna.events import Listener
from lanterna.networks.builtin import imagenet_labels
from lanterna.networks.network import Network, Prediction
from lanterna.networks.sources import load
from lanterna.pictures.colour import luminance
from lanterna.recipe import Names, Recipe
from lanterna.techniques.fooled import Fooled, Transfer
from lanterna.techniques.likeness import shares_labels

__all__ = ["AttackName", "FoolRecipe", "run", "second_network"]

AttackName = Literal["fgsm", "pgd-linf", "pgd-l2", "deepfool", "cw-l2", "noise"]

# Draws of the control, so that it has a share and not one chance.
CONTROLS = 16


@dataclass(frozen=True)
class _Kind:
    """What an attack takes by default: None where it has no such number."""

    epsilon: str | None
    steps: int | None
    gradient: bool = True


KINDS: dict[AttackName, _Kind] = {
    "fgsm": _Kind("2/255", None),
    "pgd-linf": _Kind("2/255", 40),
    "pgd-l2": _Kind("1", 50),
    "deepfool": _Kind(None, 50),
    "cw-l2": _Kind(None, 40),
    "noise": _Kind("2/255", 40, gradient=False),
}


def _fraction(text: str) -> float:
    """The number that "0.01" or "2/255" is. In floats: an exact 1e999999999 would never be done. Raises ValueError."""
    above, _, below = text.partition("/")
    return float(above) / float(below or 1)


class FoolRecipe(Recipe):
    """All that decides the picture that fools."""

    technique: Literal["fool"] = "fool"
    schema_version: Literal[1] = 1
    picture: Annotated[str, Names("picture"), Field(description="a file, or the name of a sample picture")]
    attack: Annotated[AttackName, Field(description="how the change is found")] = "pgd-linf"
    epsilon: Annotated[
        str | None,
        Field(
            description="the most that is changed, such as 2/255: of any value, or in L2 for pgd-l2; by default the "
            "attack's own"
        ),
    ] = None
    target: Annotated[str | None, Field(description="the class to be seen; by default any other")] = None
    steps: Annotated[int | None, Field(ge=1, le=100_000, description="steps at most; by default the attack's own")] = None
    confidence: Annotated[
        float,
        Field(
            ge=0, lt=1, description="how sure the network shall be of the wrong class before an attack within a ball stops"
        ),
    ] = 0.9
    second: Annotated[
        str | None,
        Names("network", ("none",)),
        Field(
            description="a second network with the same classes that is shown the same picture, or none; by default "
            "efficientnet_lite1 where it is here"
        ),
    ] = None

    @field_validator("epsilon", mode="before")
    @classmethod
    def _fraction(cls, value: Any) -> str | None:
        if value is None:
            return None
        try:
            size = _fraction(str(value))
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError("it is a number such as 0.01 or a fraction such as 2/255") from error
        if not 0 < size < math.inf:
            raise ValueError("it is a distance above 0, such as 2/255")
        return str(value)

    @property
    def radius(self) -> float | None:
        """`epsilon` as a number, the attack's own where none is given; None for attacks that find the smallest change."""
        text = self.epsilon or KINDS[self.attack].epsilon
        return None if text is None else _fraction(text)


def _check(recipe: FoolRecipe, network: Network) -> None:
    kind = KINDS[recipe.attack]
    radius = recipe.radius
    if recipe.epsilon is not None and kind.epsilon is None:
        raise InputError(
            f"--attack {recipe.attack} finds the smallest change and takes no --epsilon; pgd-linf, pgd-l2, fgsm and noise do"
        )
    if radius is not None and radius > 1 and recipe.attack != "pgd-l2":
        raise InputError(
            f"--epsilon {recipe.epsilon} is more than white differs from black, 1; did you mean {recipe.epsilon}/255?"
        )
    if recipe.steps is not None and kind.steps is None:
        raise InputError(f"--attack {recipe.attack} is a single step and takes no --steps; pgd-linf does")
    if recipe.target is not None and recipe.attack == "deepfool":
        raise InputError(
            "--attack deepfool goes to the nearest other class and takes no --target; pgd-linf, pgd-l2, fgsm and cw-l2 do"
        )
    if network.channels not in (1, 3):
        raise InputError(
            f"{network.name} takes {network.channels} channels; only networks for colour or grey pictures are fooled with one"
        )


def second_network(name: str | None, network: Network) -> Network | None:
    """The network that is asked as well: by name, or efficientnet_lite1 (or lite0 beside that one) where it is here.

    None for the name "none", and where it does not know the classes of `network`: it could not say what they became.
    """
    # Those that are built in know ImageNet's classes: no need to load them to see that they don't know others.
    if name == "none" or (name is None and network.labels != imagenet_labels()):
        return None
    usual = "efficientnet_lite0" if network.name == "efficientnet_lite1" else "efficientnet_lite1"
    try:
        second = load(name or usual)
    except MissingError:
        if name is not None:
            raise
        return None
    return second if shares_labels(second, network) else None


def _attack(
    recipe: FoolRecipe,
    network: Network,
    picture: Tensor,
    label: Tensor,
    wanted: Misclassified | Targeted,
    listener: Listener | None,
) -> Attacked:
    """The attack of that name. Inside a ball it goes on until the network is sure; where the change is to be small, until
    it fools."""
    sure: Criterion = ConfidenceAbove(wanted, recipe.confidence) if recipe.confidence else wanted
    steps = recipe.steps or KINDS[recipe.attack].steps or 1
    generator = torch.Generator().manual_seed(recipe.seed)
    epsilon = recipe.radius or 0.0
    if recipe.attack == "fgsm":
        return attacks.fast_gradient_sign(network, picture, label, epsilon=epsilon, criterion=wanted, on_event=listener)
    if recipe.attack in ("pgd-linf", "pgd-l2"):
        descend = (
            attacks.projected_gradient_descent_linf if recipe.attack == "pgd-linf" else attacks.projected_gradient_descent_l2
        )
        return descend(
            network, picture, label, epsilon=epsilon, steps=steps, criterion=sure, generator=generator, on_event=listener
        )
    if recipe.attack == "deepfool":
        return attacks.deepfool_l2(network, picture, label, steps=steps, on_event=listener)
    if recipe.attack == "cw-l2":
        return attacks.carlini_wagner_l2(network, picture, label, steps=steps, criterion=wanted, on_event=listener)
    return attacks.uniform_noise_linf(
        network, picture, label, epsilon=epsilon, steps=steps, criterion=wanted, generator=generator, on_event=listener
    )


def run(recipe: FoolRecipe, network: Network, on_event: Listener | None = None) -> Fooled:
    """Change the recipe's picture until the network sees another class, and say at what cost.

    The picture is resized and cropped as the network's own evaluation does, and taken in 8 bits. Raises InputError and
    NetworkError before anything is computed where picture, class, numbers or network are wrong, and where an attack would
    mislead (`attacks.check`).
    """
    _check(recipe, network)
    given = pictures_io.load(recipe.picture, reduced=True)
    target = None if recipe.target is None else network.class_index(recipe.target)
    second = second_network(recipe.second, network)
    fitted = network.preprocessing.fit(given)
    # Of colours that the network does not see the change would say nothing.
    picture = rounded(luminance(fitted) if network.channels == 1 else fitted).to(network.device)
    attacks.check(network, picture, torch.zeros(1, dtype=torch.long, device=picture.device))
    with torch.no_grad():
        label = network.logits(picture).argmax(1)
    if target == int(label):
        raise InputError(f"{network.name} already sees {network.label(target)!r} in {recipe.picture}; give another --target")
    wanted: Misclassified | Targeted = Misclassified(label) if target is None else Targeted(torch.full_like(label, target))
    raw = _attack(recipe, network, picture, label, wanted, on_event)
    base = wanted.met(network.logits(raw.pictures).detach())
    result, refined, passes = raw.pictures_rounded, 0, int(raw.passes[0])
    with torch.no_grad():
        plain = bool(wanted.met(network.logits(result))[0])
    # Where no gradient was asked for, none makes up for the rounding either.
    if bool(base[0]) and not plain and KINDS[recipe.attack].gradient:
        result, moved, more = attacks.refine_levels(network, raw.pictures, wanted)
        refined, passes = int(moved[0]), passes + int(more[0])
    generator = torch.Generator().manual_seed(recipe.seed)
    noise = rounded(torch.cat([attacks.noise_of_norm(picture, result, generator) for _ in range(CONTROLS)]))
    with torch.no_grad():
        by_noise = torch.cat([wanted.__class__(wanted.classes).met(network.logits(one[None])) for one in noise])
        success = bool(wanted.met(network.logits(result))[0])
    change = (result - picture).flatten()
    return Fooled(
        recipe=recipe,
        network=network.name,
        label=network.label(int(label)),
        picture=picture.cpu().expand(-1, 3, -1, -1),
        result=result.cpu().expand(-1, 3, -1, -1),
        noise=noise[:1].cpu().expand(-1, 3, -1, -1),
        success_raw=bool(base[0]),
        success_rounded=plain,
        success=success,
        refined=refined,
        l2=float(change.norm()),
        linf=float(change.abs().max()),
        l2_raw=float(raw.l2[0]),
        linf_raw=float(raw.linf[0]),
        passes=passes,
        before=_predict(network, picture),
        after=_predict(network, result),
        with_noise=_predict(network, noise[:1]),
        noise_success=float(by_noise.float().mean()),
        transfer=None if second is None else _transfer(second, picture, result, noise[:1], wanted),
        stopped=raw.stopped,
    )


def _predict(network: Network, picture: Tensor) -> tuple[Prediction, ...]:
    """The three best classes of the picture as it is."""
    with torch.no_grad():
        return tuple(network.predictions(network.logits(picture)[0], 3))


def _transfer(second: Network, picture: Tensor, result: Tensor, noise: Tensor, wanted: Criterion) -> Transfer:
    """What the second network sees, after its own resize and crop."""
    before, after, noisy = (second.classify(shown.cpu(), 1)[0][0] for shown in (picture, result, noise))
    same = wanted.sign < 0
    return Transfer(
        second.name,
        before,
        after,
        noisy,
        fooled=after.index == int(wanted.classes[0]) if same else after.index != before.index,
        noise_fooled=noisy.index == int(wanted.classes[0]) if same else noisy.index != before.index,
    )
