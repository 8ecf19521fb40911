"""The libraries Lanterna is measured against, each run through its public API, with a call at every step."""

import contextlib
import copy
import io
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lanterna.networks.network import LOGITS, Network

Tick = Callable[[], None]

# horama keeps a canvas of 1280 pixels and six crops a step, whatever the network's size: its defaults.
HORAMA_CROPS = 6


def as_users_have_it(network: Network, frozen: bool) -> nn.Module:
    """A copy of the plain module; a module that was just loaded has weights that ask for gradients, and peers leave that."""
    return copy.deepcopy(network.module).eval().requires_grad_(not frozen)


def _quiet() -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
    stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
    return stack


def lucent(
    module: nn.Module,
    network: Network,
    layer: str,
    channels: Sequence[int],
    size: int,
    steps: int,
    tick: Tick,
    *,
    same_size: bool,
) -> Tensor:
    """torch-lucent: `render_vis` with its default canvas, transforms and optimiser. Gives the pictures.

    It enlarges pictures below 224 px to 224 unless `same_size` says otherwise. Its own normalisation is torchvision's, wrong
    for these networks, so it is off and the network's own comes as the last transform.
    """
    with _quiet():
        from lucent.optvis import objectives, param, render, transform

        name = "labels" if layer == LOGITS else layer.replace(".", "_")
        wanted = objectives.Objective.sum([objectives.channel(name, c, batch=i) for i, c in enumerate(channels)])

        def ticking(model: Callable[[str], Tensor]) -> Tensor:
            tick()
            value: Tensor = wanted(model)
            return value

        pictures = render.render_vis(
            module,
            objectives.Objective(ticking, "wanted", "wanted"),
            param_f=lambda: param.image(size, batch=len(channels)),
            transforms=[*transform.standard_transforms, network.preprocessing.apply],
            preprocess=False,
            thresholds=(steps,),
            progress=False,
            show_image=False,
            fixed_image_size=size if same_size else None,
        )
    return torch.from_numpy(pictures[-1]).permute(0, 3, 1, 2)


def horama(to_layer: Callable[[Tensor], Tensor], network: Network, channel: int, size: int, steps: int, tick: Tick) -> None:
    """horama: `fourier` with its defaults; one picture at a time is all it does.

    The way to the layer is the caller's, so it gets the shortest one: a pass that stops there.
    """
    with _quiet():
        import horama as library

        def objective(pictures: Tensor) -> Tensor:
            tick()
            return to_layer(network.preprocessing.apply(pictures))[:, channel].mean()

        library.fourier(objective, total_steps=steps, model_input_size=size, values_range=(0.0, 1.0), device="cpu")


def dreamlens(
    module: nn.Module, network: Network, layer: str, channels: Sequence[int], size: int, steps: int, tick: Tick
) -> None:
    """dreamlens: `FeatureVisualizer.visualize` with its default canvas and transforms."""
    with _quiet():
        import dreamlens as library
        from dreamlens.objectives import TargetObjective

        # It names layers by module, and the output of the whole is that of the last one.
        name = [part for part, _ in module.named_modules()][-1] if layer == LOGITS else layer
        targets = [library.FeatureTarget.for_channel(name, channel) for channel in channels]
        wanted = library.PerSampleObjective([TargetObjective([target]) for target in targets])

        def ticking(outputs: list[Tensor]) -> Tensor:
            tick()
            value: Tensor = wanted(outputs)
            return value

        library.FeatureVisualizer(module, quiet=True, preprocess=network.preprocessing.apply).visualize(
            targets[0],
            config=library.RenderConfig(width=size, height=size, steps=steps),
            image_parameter=library.FourierCanvasBatch(len(channels), height=size, width=size) if len(channels) > 1 else None,
            objective=ticking,
        )
