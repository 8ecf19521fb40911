"""Autoencoders: variants, files, data, coding, canvas, and the experiments' measures."""

from pathlib import Path

import numpy as np
import pytest
import sklearn.decomposition
import tiny
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

import lanterna
from lanterna.autoencode import AutoencodeRecipe, load, run
from lanterna.autoencode.augment import moved
from lanterna.autoencode.experiments.bits import code_bytes, mosaic
from lanterna.autoencode.experiments.generate import log_density, nearest
from lanterna.autoencode.experiments.manifold import attacked
from lanterna.autoencode.experiments.regular import entropies
from lanterna.autoencode.pca import fit
from lanterna.autoencode.pictures import Split, glyphs, natural_patches, open_split
from lanterna.autoencode.variants import MODELS, VectorQuantizer, make_module, training_loss
from lanterna.errors import InputError
from lanterna.events import STOP, Event, Stepped
from lanterna.manifold.measures import auroc
from lanterna.manifold.stimuli import pixel_shuffled
from lanterna.objectives import class_logit


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bars(count: int, seed: int = 0) -> torch.Tensor:
    """Pictures of one upright bar, whose place is all there is to know."""
    places = torch.randint(4, 24, (count,), generator=chance(seed))
    columns = torch.arange(28)
    return (-(columns - places[:, None]).float().square() / 8).exp()[:, None, None, :].expand(-1, 1, 28, -1).contiguous()


def bars_split(labelled: bool = False) -> Split:
    train, held = bars(64), bars(32, 1)
    if not labelled:
        return Split("bars", train, held)
    labels = [(pictures[:, 0, 0].argmax(1) > 13).long() for pictures in (train, held)]
    return Split("bars", train, held, labels[0], labels[1], ("left", "right"))


@pytest.mark.parametrize("variant", MODELS)
@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (3, 64)])
def test_every_variant_takes_and_gives_pictures(variant: str, channels: int, side: int) -> None:
    module = make_module(variant, channels, side, 8, 0)  # type: ignore[arg-type]
    pictures = torch.rand(2, channels, side, side, generator=chance())
    codes = module.encode(pictures)
    assert codes.shape == (2, 8)
    made = module.decode(codes).detach()
    assert made.shape == pictures.shape and float(made.min()) >= 0 and float(made.max()) <= 1
    loss = training_loss(module, pictures, chance(), 1.0)
    loss.backward()
    assert all(value.grad is not None and bool(value.grad.any()) for value in module.encoder.parameters())


def test_variants_share_encoder_and_decoder() -> None:
    shapes = {
        name: [value.shape for value in (*module.encoder.parameters(), *module.decoder.parameters())]
        for name in MODELS
        if name != "dense"
        for module in [make_module(name, 1, 28, 8, 0)]
    }
    assert len({str(found) for found in shapes.values()}) == 1


def test_a_code_does_not_depend_on_the_other_pictures() -> None:
    pictures = bars(6)
    for name in MODELS:
        module = make_module(name, 1, 28, 8, 0).eval()
        torch.testing.assert_close(module.encode(pictures)[:1], module.encode(pictures[:1]), atol=1e-5, rtol=1e-4)


def test_sparse_codes_are_sparse_and_vae_weighs_its_kl() -> None:
    module = make_module("sparse", 1, 28, 16, 0)
    assert (module.encode(bars(5)) != 0).sum(1).tolist() == [4] * 5
    vae = make_module("vae", 1, 28, 4, 0)
    light, heavy = (training_loss(vae, bars(5), chance(), weight).item() for weight in (0.0, 1e4))
    kl = vae(bars(5), chance()).extra.mean().item()
    assert kl > 0 and heavy - light == pytest.approx(1e4 * kl, rel=1e-2)


def test_a_vector_quantizer_finds_its_clusters_and_passes_gradients() -> None:
    centres = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    codes = (centres.repeat(40, 1) + 0.01 * torch.randn(120, 2, generator=chance())).requires_grad_(True)
    quantizer, generator = VectorQuantizer(2), chance(1)
    for _ in range(20):
        near, commitment = quantizer(codes, generator)
    assert float((near - codes).detach().abs().max()) < 0.05
    assert commitment.mean().item() < 1e-3
    near.sum().backward()
    assert torch.equal(codes.grad, torch.ones_like(codes))
    assert quantizer.indices(codes).shape == (120, 1)


def test_a_run_learns_saves_and_loads(tmp_path: Path) -> None:
    recipe = AutoencodeRecipe(code=(2,), epochs=60, batch=16, augment=0, parts=("lossy",), model="dense")
    made = run(recipe, split=bars_split(), folder=tmp_path)
    net = made.models[2]
    assert net.mse(made.split.held_out) < 0.2 * made.split.mean_mse
    assert [figure.name for figure in made.parts[0].figures] == ["lossy", "sizes"]
    found = load(net.save(tmp_path / "net.safetensors"))
    assert torch.equal(found.project(made.split.held_out), net.project(made.split.held_out))
    assert found.recipe["epochs"] == 60 and found.numbers["held_out_mse"] == net.numbers["held_out_mse"]
    # From the cache, without training: the bar leaps to its end.
    steps: list[Event] = []
    again = run(recipe, lambda event: steps.append(event), split=bars_split(), folder=tmp_path)  # type: ignore[func-returns-value]
    assert {event.step / event.steps for event in steps if isinstance(event, Stepped)} == {1.0}
    assert torch.equal(again.models[2].encode(made.split.held_out), net.encode(made.split.held_out))


def test_every_part_is_made(tmp_path: Path) -> None:
    recipe = AutoencodeRecipe(code=(2, 4), epochs=1, batch=32)
    told: list[Event] = []
    made = run(recipe, lambda event: told.append(event), split=bars_split(labelled=True), folder=tmp_path)  # type: ignore[func-returns-value]
    steps = [event.step / event.steps for event in told if isinstance(event, Stepped)]
    assert steps == sorted(steps) and steps[-1] == 1
    assert [part.name for part in made.parts] == ["lossy", "bits", "specific", "regular", "loses", "manifold", "generate"]
    for part in made.parts:
        assert part.figures and part.numbers and part.wrong_if
        assert all(figure.picture.shape[:2] == (1, 3) for figure in part.figures)
    made.numbers()


def test_what_needs_classes_says_that_it_does_not_apply(tmp_path: Path) -> None:
    made = run(AutoencodeRecipe(code=(2,), epochs=1, parts=("generate",)), split=bars_split(), folder=tmp_path)
    assert not made.parts and "does not apply" in made.missing[0]


def test_a_stop_keeps_what_there_is(tmp_path: Path) -> None:
    recipe = AutoencodeRecipe(code=(2, 4), epochs=2, batch=16, parts=("lossy",), model="dense")
    made = run(recipe, lambda event: STOP if isinstance(event, Stepped) else None, split=bars_split(), folder=tmp_path)
    assert made.stopped and not made.parts


@pytest.mark.parametrize("content", [b"", b"no tensors", None])
def test_a_file_that_is_no_autoencoder_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "one.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"one\.safetensors"):
        load(file)


def test_wrong_shapes_are_refused(tmp_path: Path) -> None:
    net = run(AutoencodeRecipe(code=(2,), epochs=1, parts=("models",)), split=bars_split(), folder=tmp_path).models[2]
    with pytest.raises(InputError, match=r"\(B, 1, 28, 28\)"):
        net.encode(torch.rand(1, 3, 28, 28))
    with pytest.raises(InputError, match="2 numbers"):
        net.decode(torch.rand(1, 3))


def test_pca_is_that_of_scikit_learn() -> None:
    pictures = torch.rand(60, 1, 28, 28, generator=chance())
    reference = sklearn.decomposition.PCA(5, svd_solver="full").fit(pictures[:40].flatten(1).numpy())
    test = pictures[40:].flatten(1).numpy()
    expected = float(np.square(reference.inverse_transform(reference.transform(test)) - test).mean())
    assert fit(pictures[:40], 5).mse(pictures[40:]) == pytest.approx(expected, rel=1e-4)


def test_pca_of_few_pictures_has_no_more_components_than_they_span() -> None:
    pictures = torch.rand(12, 1, 28, 28, generator=chance())
    found = fit(torch.cat([pictures, pictures[:5]]), 784)
    assert len(found.components) == 11
    torch.testing.assert_close(found.components @ found.components.T, torch.eye(11), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.project(pictures), pictures, atol=1e-4, rtol=0)
    same = fit(pictures[:1].repeat(6, 1, 1, 1), 3)
    torch.testing.assert_close(same.project(pictures[:1]), pictures[:1])


def test_coded_bytes_come_near_the_entropy_and_are_read_again() -> None:
    codes = torch.randn(4000, 4, generator=chance())
    coded = code_bytes(codes, codes, 0.5)
    # A normal variable in bins of half a deviation: 2.047 + 1 bits.
    assert 8 * coded.size / codes.numel() == pytest.approx(3.05, rel=0.02)
    assert float((coded.codes - codes).abs().max()) <= 0.2501 * float(codes.std(0).max()) * 1.01
    assert code_bytes(codes, codes, 0.1).size > coded.size


def test_a_mosaic_puts_pictures_side_by_side() -> None:
    pictures = torch.arange(5.0).view(5, 1, 1, 1).expand(-1, 1, 2, 3)
    made = mosaic(pictures)
    assert made.shape == (1, 1, 6, 6)
    assert made[0, 0, ::2, ::3].tolist() == [[0, 1], [2, 3], [4, 0]]


def test_auroc_is_that_of_scikit_learn() -> None:
    strange = torch.tensor([0.1, 0.5, 0.5, 0.9])
    usual = torch.tensor([0.1, 0.2, 0.5])
    expected = roc_auc_score([1] * 4 + [0] * 3, [*strange.tolist(), *usual.tolist()])
    assert auroc(strange, usual) == pytest.approx(expected)


def test_shuffled_pixels_keep_their_histogram_and_cost_more() -> None:
    pictures = bars(40)
    mixed = pixel_shuffled(pictures, chance())
    assert torch.equal(mixed.flatten(1).sort(1).values, pictures.flatten(1).sort(1).values)
    before, after = entropies(pictures), entropies(mixed)
    assert after["histogram"] == pytest.approx(before["histogram"]) and after["zlib"] > 3 * before["zlib"]


def test_augmented_pictures_stay_near_and_follow_the_seed() -> None:
    pictures = bars(4)
    assert torch.equal(moved(pictures, chance()), moved(pictures, chance()))
    still = moved(pictures, chance(), turn=0, zoom=0, shift=0, bend=0)
    torch.testing.assert_close(still, pictures, atol=1e-4, rtol=0)


def test_nearest_and_density_prefer_real_pictures() -> None:
    real, noise = bars(200), torch.rand(5, 1, 28, 28, generator=chance())
    assert float(nearest(real[:5], real).max()) < 0.01 < float(nearest(noise, real).min())
    codes = torch.randn(300, 3, generator=chance())
    assert float(log_density(codes[:5], codes).min()) > float(log_density(codes[:5] + 20, codes).max())


def test_an_attack_stays_in_its_ball_and_raises_the_loss() -> None:
    network = tiny.network(1, (28, 28))
    pictures = bars(4)
    labels = network.logits(pictures).argmax(1)
    made = attacked(network.logits, pictures, labels, 0.1, chance())
    assert float((made - pictures).abs().max()) <= 0.1 + 1e-6 and float(made.min()) >= 0
    loss = torch.nn.functional.cross_entropy
    assert float(loss(network.logits(made), labels)) > float(loss(network.logits(pictures), labels))


def test_a_latent_canvas_climbs_and_stays_within_the_codes() -> None:
    module = make_module("dense", 1, 28, 4, 0).requires_grad_(False)
    training = torch.randn(200, 4, generator=chance()) * torch.tensor([1.0, 2.0, 0.5, 3.0]) + 1
    network = tiny.network(1, (28, 28))
    canvas = lanterna.LatentCanvas.noise(module.decode, training, 3, chance(2))
    before = network.logits(canvas.render().detach())[:, 1]
    made = lanterna.ascend(
        canvas,
        class_logit(1),
        network,
        size=(28, 28),
        steps=60,
        generator=chance(),
        lr=0.5,
        jitter=lanterna.Jitter(0, (1, 1), 0),
    )
    assert bool((network.logits(made.pictures)[:, 1] >= before - 1e-4).all())
    centred = canvas.codes().detach() - training.mean(0)
    whitened = centred / training.std(0)
    assert float(whitened.norm(dim=1).max()) < 4.5
    back = lanterna.LatentCanvas.start(module.decode, training, training[:5])
    assert bool((back.codes().detach() - training[:5]).abs().max() < 1.5)
    torch.testing.assert_close(back.codes().detach()[0], training[0], atol=1e-3, rtol=1e-3)


def test_a_folder_of_mixed_sizes_and_modes_is_brought_to_one(tmp_path: Path) -> None:
    for index, (mode, size) in enumerate([("L", (28, 28)), ("RGB", (40, 70)), ("RGBA", (33, 20)), ("P", (64, 64))] * 3):
        Image.new(mode, size).save(tmp_path / f"{index}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    split = open_split(f"folder:{tmp_path}")
    assert split.train.shape == (10, 3, 32, 32) and len(split.held_out) == 2
    assert any("broken.png" in note for note in split.notes)
    made = run(AutoencodeRecipe(code=(2,), epochs=1, parts=("models",)), split=split, folder=tmp_path / "cache")
    assert made.models[2].shape == (3, 32, 32)


def test_a_folder_with_too_few_pictures_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    with pytest.raises(InputError, match="has 1 picture to be read; an autoencoder needs 8"):
        open_split(f"folder:{tmp_path}")


def test_patches_held_out_are_from_other_pictures() -> None:
    split = open_split("patches", most=100)
    assert split.train.shape[1:] == (3, 32, 32) and len(split.held_out) == 20
    assert "never saw" in split.notes[0]
    assert natural_patches(5, 28, chance(), channels=1).shape == (5, 1, 28, 28)
    assert 0.02 < float(glyphs(20, 28, chance()).mean()) < 0.4
