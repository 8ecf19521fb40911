"""Attacks beside foolbox and the Adversarial Robustness Toolbox, and fooling pictures of many classes. See README.md."""

import argparse
import copy
import json
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lanterna
from lanterna import attacks
from lanterna import pictures as pictures_io
from lanterna.networks.network import Network
from lanterna.techniques.fool_noise import FoolNoiseRecipe, run

with warnings.catch_warnings():
    # Both import names that others moved.
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox
    from art.attacks import evasion as art
    from art.estimators.classification import PyTorchClassifier

# Gives the changed pictures.
Attack = Callable[[], Tensor]

EPSILON = 1 / 255
ATTACKS = ["fgsm", "pgd-linf", "deepfool", "cw-l2"]
OTHERS = ["foolbox", "art"]


def classes_of(network: Network, pictures: Tensor) -> Tensor:
    with torch.no_grad():
        return network.logits(pictures).argmax(1)


def sample_pictures(network: Network, count: int) -> Tensor:
    return attacks.rounded(torch.cat([network.preprocessing.fit(one) for one in pictures_io.samples_at((256, 256))])[:count])


@dataclass(frozen=True)
class Peers:
    """The same weights as the other libraries take them: a plain module with the normalisation beside it."""

    foolbox: Any
    art: Any

    @classmethod
    def of(cls, network: Network) -> "Peers":
        fit, classes = network.preprocessing, network.layer("logits").channels
        mean, std = fit.mean[0], fit.std[0]
        model = foolbox.PyTorchModel(
            copy.deepcopy(network.module), bounds=(0, 1), preprocessing={"mean": mean, "std": std}, device="cpu"
        )
        classifier = PyTorchClassifier(
            copy.deepcopy(network.module),
            torch.nn.CrossEntropyLoss(),
            (3, *fit.size),
            classes,
            clip_values=(0, 1),
            preprocessing=(mean, std),
            device_type="cpu",
        )
        return cls(model, classifier)


def contestants(network: Network, peers: Peers, pictures: Tensor) -> dict[str, dict[str, Attack]]:
    """By attack and library, what gives the changed pictures; radius and steps are the same where there are any.

    For Carlini and Wagner each has its own constants: ours the defaults, the others the best that were found for them on
    these pictures; their own leave changes that are twenty times as large.
    """
    labels = classes_of(network, pictures)
    shown, truth = pictures.numpy(), labels.numpy()

    def by_foolbox(attack: Any, epsilon: float | None) -> Attack:
        return lambda: attack(peers.foolbox, pictures, labels, epsilons=epsilon)[1]

    def by_art(attack: type, **constants: Any) -> Attack:
        made = attack(peers.art, batch_size=len(pictures), **constants)
        return lambda: torch.from_numpy(made.generate(shown, truth))

    fb = foolbox.attacks
    return {
        "fgsm": {
            "lanterna": lambda: attacks.fast_gradient_sign(network, pictures, labels, epsilon=EPSILON).pictures,
            "foolbox": by_foolbox(fb.LinfFastGradientAttack(random_start=False), EPSILON),
            "art": by_art(art.FastGradientMethod, eps=EPSILON),
        },
        "pgd-linf": {
            "lanterna": lambda: (
                attacks.projected_gradient_descent_linf(
                    network, pictures, labels, epsilon=EPSILON, steps=10, early_stop=False
                ).pictures
            ),
            "foolbox": by_foolbox(fb.LinfPGD(steps=10, random_start=False), EPSILON),
            "art": by_art(art.ProjectedGradientDescent, eps=EPSILON, eps_step=EPSILON / 30, max_iter=10, verbose=False),
        },
        "deepfool": {
            "lanterna": lambda: attacks.deepfool_l2(network, pictures, labels, steps=10).pictures,
            "foolbox": by_foolbox(fb.L2DeepFoolAttack(steps=10, candidates=10), None),
            "art": by_art(art.DeepFool, max_iter=10, nb_grads=10, epsilon=0.02, verbose=False),
        },
        "cw-l2": {
            "lanterna": lambda: attacks.carlini_wagner_l2(network, pictures, labels).pictures,
            "foolbox": by_foolbox(
                fb.L2CarliniWagnerAttack(binary_search_steps=5, steps=60, stepsize=0.001, initial_const=1.0), None
            ),
            "art": by_art(
                art.CarliniL2Method, binary_search_steps=5, max_iter=60, learning_rate=0.001, initial_const=1.0, verbose=False
            ),
        },
    }


def times(network: Network, pictures: Tensor, names: list[str], rounds: int, others: list[str]) -> dict[str, object]:
    """Each attack by all libraries, in turns. What fools is judged in the same way for all, on the pictures they give."""
    table: dict[str, object] = {}
    labels, runs = classes_of(network, pictures), contestants(network, Peers.of(network), pictures)
    print("| attack | library | seconds | ours is times as fast | fooled | median L2 |\n|---|---|--:|--:|--:|--:|")
    for name in names:
        chosen = {library: run_it for library, run_it in runs[name].items() if library in ("lanterna", *others)}
        took: dict[str, list[float]] = {library: [] for library in chosen}
        changed: dict[str, Tensor] = {}
        for _ in range(rounds):
            for library, run_it in chosen.items():
                begun = time.perf_counter()
                changed[library] = run_it()
                took[library].append(time.perf_counter() - begun)
        fooled = {library: classes_of(network, one) != labels for library, one in changed.items()}
        # Distances are compared on the pictures that all fool.
        common = torch.stack(list(fooled.values())).all(0)
        table[name] = rows = {}
        for library, one in changed.items():
            ratio = statistics.median(b / a for a, b in zip(took["lanterna"], took[library], strict=True))
            l2 = (one - pictures).flatten(1).norm(dim=1)
            rows[library] = {
                "seconds": statistics.median(took[library]),
                "ratio": ratio,
                "fooled": int(fooled[library].sum()),
                "l2": float(l2[common].median()) if bool(common.any()) else None,
            }
            row = rows[library]
            far = "-" if row["l2"] is None else f"{row['l2']:.4f}"
            print(
                f"| {name} | {library} | {row['seconds']:.2f} | {ratio:.2f} | {row['fooled']} of {len(pictures)} | {far} |",
                flush=True,
            )
    return table


def classes(network: Network, names: tuple[str, ...], encoding: str, out: Path | None) -> dict[str, object]:
    """Fooling pictures of some classes, and how sure an untrained network becomes in as many steps."""
    begun = time.perf_counter()
    made = run(FoolNoiseRecipe(classes=names, encoding=encoding, second="none"), network)
    seconds = (time.perf_counter() - begun) / len(made.classes)
    print(
        f"\n{encoding}: above 99 % for {made.share:.1%} of {len(made.classes)} classes, {seconds:.2f} s a class, "
        f"{statistics.median(made.steps):g} steps in the middle and {max(made.steps)} at most; "
        f"untrained network: at most {max(made.control):.2%}"
    )
    if out:
        pictures_io.save(made.sheet(), out)
    return {"seconds": seconds, **made.numbers()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=["times", "classes"], default=["times", "classes"])
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--attacks", nargs="*", choices=ATTACKS, default=ATTACKS)
    parser.add_argument("--others", nargs="*", choices=OTHERS, default=OTHERS, help="the libraries beside ours")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=int, default=1, help="fooling pictures for every so-many-th class")
    parser.add_argument("--encoding", choices=["pixels", "fourier", "cppn"], default="pixels")
    parser.add_argument("--out", type=Path, help="save the sheet of fooling pictures")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args()
    network = lanterna.load("efficientnet_lite0")
    results: dict[str, object] = {}
    if "times" in options.parts:
        pictures = sample_pictures(network, options.pictures)
        results["times"] = times(network, pictures, options.attacks, options.rounds, options.others)
    if "classes" in options.parts:
        count = network.layer("logits").channels
        names = tuple(str(index) for index in range(0, count, options.every))
        results["classes"] = classes(network, names, options.encoding, options.out)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
