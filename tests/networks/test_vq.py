"""A VQ-VAE takes the nearest code, learns through it, and tells how much of its codebook it uses."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch.nn import functional

from latentbench.core.errors import InputError
from latentbench.networks import export
from latentbench.networks.autoencoders import base, vq

SHAPE = (1, 12, 10)


def network(latent_dim: int = 6, image_shape: tuple[int, int, int] = SHAPE, **options: Any) -> vq.Network:
    torch.manual_seed(0)
    built = base.build("vq", image_shape, latent_dim, **options)
    assert isinstance(built, vq.Network)
    return built.eval()


@pytest.mark.parametrize(("latent_dim", "size"), [(64, 4), (6, 3), (5, 1), (7, 1), (2, 2), (9, 3), (200, 4)])
def test_each_position_gets_the_nearest_code(latent_dim: int, size: int) -> None:
    ours = network(latent_dim, code_size=min(4, latent_dim), codes=50)
    assert (ours.size, ours.positions) == (size, latent_dim // size)
    codebook = ours.codebook.detach().numpy().reshape(50, size)
    outputs = torch.randn(30, latent_dim)
    expected = cdist(outputs.numpy().reshape(-1, size), codebook).argmin(axis=1)
    assert np.array_equal(ours.indices(outputs).numpy().ravel(), expected)
    found = ours.quantise(outputs)
    assert np.array_equal(found.detach().numpy().reshape(-1, size), codebook[expected])
    assert torch.equal(ours.quantise(found.detach()), found), "a code is not its own nearest"
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours.quantise(outputs), found)


@pytest.mark.parametrize(
    ("image_shape", "latent_dim"), [((1, 8, 8), 2), ((3, 9, 31), 13), ((3, 128, 128), 17), ((1, 28, 28), 64)]
)
def test_images_of_any_shape_become_codes_and_come_back(image_shape: tuple[int, int, int], latent_dim: int) -> None:
    ours = network(latent_dim, image_shape, code_size=2)
    images = torch.rand(3, *image_shape)
    latents = ours.encode(images)
    assert (latents.shape, latents.dtype) == ((3, latent_dim), torch.float32)
    assert set(latents.flatten().tolist()) <= set(ours.codebook.tolist())
    assert ours.decode(latents).shape == images.shape
    assert torch.equal(ours(images), ours.decode(latents))


def test_the_loss_is_that_of_the_paper_and_goes_straight_through_the_codes() -> None:
    ours, images = network(commitment=0.3), torch.rand(5, *SHAPE)
    parts = ours.losses(images)
    outputs = ours.encoder(images)
    codes = ours.quantise(outputs)
    reconstruction, distance = (ours.decode(codes) - images).square().mean(), (codes - outputs).square().mean()
    torch.testing.assert_close(parts["reconstruction"], reconstruction)
    torch.testing.assert_close(parts["commitment"], distance)
    torch.testing.assert_close(parts["loss"], reconstruction + 2 * 0.3 * distance)
    # The encoder gets the gradient at the codes, and that of the commitment; the codebook its own distance's alone.
    weight = dict(ours.named_parameters())["encoder.1.weight"]
    found, of_codebook = torch.autograd.grad(parts["loss"], [weight, ours.codebook])
    at_codes = codes.detach().requires_grad_()
    (slope,) = torch.autograd.grad(functional.mse_loss(ours.decode(at_codes), images), at_codes)
    slope = slope + 0.3 * 2 * (outputs - codes).detach() / outputs.numel()
    torch.testing.assert_close(found, *torch.autograd.grad(outputs, [weight], slope))
    expected = torch.zeros(ours.codes, ours.size)
    pulls = 0.3 * 2 * (codes - outputs).detach().reshape(-1, ours.size) / outputs.numel()
    expected.index_add_(0, ours.indices(outputs).flatten(), pulls)
    torch.testing.assert_close(of_codebook.view_as(expected), expected)


def test_the_use_of_the_codebook_is_that_of_a_hand_count() -> None:
    ours = network(4, codes=8, code_size=2)
    a, b, c = ours.codebook.detach().view(8, 2)[:3]
    used = ours.measure(torch.stack([torch.cat([a, b]), torch.cat([a, c]), torch.cat([a, b])]))
    entropy = -(3 / 6 * math.log(3 / 6) + 2 / 6 * math.log(2 / 6) + 1 / 6 * math.log(1 / 6))
    assert used == pytest.approx(
        {"codes_used_share": 3 / 8, "code_perplexity": math.exp(entropy), "bits_per_image": 2 * 3}
    )
    assert ours.measure(torch.cat([a, a])[None])["code_perplexity"] == 1.0
    assert base.build("dense", SHAPE, 4).measure(torch.zeros(2, 4)) == {}


def test_the_exported_encoder_is_the_same_but_where_two_codes_are_as_near() -> None:
    ours = network(codes=4096, code_size=3)
    images = torch.rand(40, *SHAPE)
    settled = ours.settled(images)
    assert 0.5 < settled.float().mean() <= 1.0
    encoder, decoder = export.Encoder(ours), export.Decoder(ours)
    model = export.to_onnx(encoder, {"images": images[:1]}, "latents")
    assert isinstance(ours, export.Jumping)
    export.check("it", model, encoder, images, settled=ours.settled)
    latents = ours.encode(images).detach()
    export.check("it", export.to_onnx(decoder, {"latents": latents[:1]}, "images"), decoder, latents)
    # Two equal codes: nothing is settled there, and a difference not looked at; elsewhere it is.
    with torch.no_grad():
        ours.codebook[3:6] = ours.codebook[:3] = ours.encoder(images[:1])[0, :3]
    assert ours.settled(images[:1])[0].tolist() == [False] * 3 + [True] * 3
    with pytest.raises(export.ExportError):
        export.check("it", model, lambda batch: encoder(batch) + 1.0, images[:1], settled=ours.settled)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        *(({"codes": value}, "codes") for value in (1, 0, 2.5, True, "many", 10**6)),
        *(({"code_size": value}, "code_size") for value in (0, 7, 1.5, None)),
        *(({"commitment": value}, "commitment") for value in (-1, math.nan, math.inf, "much", True)),
    ],
)
def test_an_impossible_option_is_named(options: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError, match=rf"^options\.{key} must be .* not "):
        network(6, **options)


def test_training_lowers_the_error_and_moves_the_codes_in_use() -> None:
    ours, images = network(codes=16).train(), torch.rand(32, *SHAPE).round()
    before = ours.codebook.detach().clone()
    optimiser = torch.optim.Adam(ours.parameters(), 5e-3)
    losses = []
    for _ in itertools.repeat(None, 40):
        parts = ours.losses(images)
        optimiser.zero_grad()
        parts["loss"].backward()
        optimiser.step()
        losses.append(parts["reconstruction"].item())
    assert losses[-1] < 0.9 * losses[0]
    assert (ours.codebook - before).abs().max() > 0.05
