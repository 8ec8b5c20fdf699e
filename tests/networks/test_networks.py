"""The architectures are those of the reference report, at any image size; losses against torch.distributions."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, distributions, nn
from torch.nn import functional

from latentbench.networks import blocks, denoisers, weights
from latentbench.networks.autoencoders import base as autoencoders
from latentbench.networks.classifier import Classifier
from latentbench.networks.vaes import base as vaes

GREY, COLOUR = (1, 28, 28), (3, 13, 20)
SHAPES = [GREY, (1, 20, 13), (1, 9, 31), (1, 32, 32), COLOUR]


def n_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def dense(*widths: int) -> int:
    return sum(a * b + b for a, b in itertools.pairwise(widths))


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
def test_group_norm_is_torchs_in_at_least_single_precision(kind: torch.dtype) -> None:
    maps, ours, theirs = torch.randn(4, 16, 5, 7).to(kind), blocks.GroupNorm(8, 16), nn.GroupNorm(8, 16)
    computed = torch.float64 if kind == torch.float64 else torch.float32
    found, expected = ours.to(computed)(maps), theirs.to(computed)(maps.to(computed))
    assert found.dtype == kind
    assert torch.equal(found, expected.to(kind))


@pytest.mark.parametrize("latent_dim", [2, 32, 64])
def test_parameter_counts_are_those_of_the_report(latent_dim: int) -> None:
    batch_norms = 2 * (392 + 196 + 98)
    halves = dense(784, 392, 196, 98, latent_dim) + dense(latent_dim, 98, 196, 392, 784)
    assert n_parameters(autoencoders.build("dense", GREY, latent_dim)) == halves + 2 * batch_norms
    conv = (9 * 1 * 16 + 16) + (9 * 16 * 8 + 8) + dense(392, latent_dim) + dense(latent_dim, 392)
    conv += (9 * 8 * 8 + 8) + (9 * 8 * 16 + 16) + (9 * 16 * 1 + 1)
    assert n_parameters(autoencoders.build("conv", GREY, latent_dim)) == conv
    heads = 2 * dense(98, latent_dim)
    assert n_parameters(vaes.build("dense", GREY, latent_dim)) == (
        dense(784, 392, 196, 98) + heads + dense(latent_dim, 98, 196, 392, 784)
    )
    conv = (9 * 1 * 32 + 32) + (9 * 32 * 64 + 64) + dense(3136, 256) + 2 * dense(256, latent_dim)
    conv += dense(latent_dim, 3136) + (9 * 64 * 64 + 64) + (9 * 64 * 32 + 32) + (9 * 32 * 1 + 1)
    assert n_parameters(vaes.build("conv", GREY, latent_dim)) == conv


@pytest.mark.parametrize("family", [autoencoders, vaes])
def test_dense_networks_of_larger_images_than_the_recipes_are_for_take_shorter_steps(family: Any) -> None:
    taken = {shape: family.build("dense", shape, 2).step_scale for shape in [(1, 8, 8), GREY, (3, 32, 32)]}
    assert taken == {(1, 8, 8): 1.0, GREY: 1.0, (3, 32, 32): 784 / 3072}
    assert family.build("conv", (3, 32, 32), 2).step_scale == 1.0


@pytest.mark.parametrize("family", [autoencoders, vaes])
def test_dense_layers_of_large_images_are_no_wider_than_those_of_32x32_in_colour(family: Any) -> None:
    def widths(image_shape: tuple[int, int, int]) -> set[int]:
        layers = family.build("dense", image_shape, 4).modules()
        return {layer.out_features for layer in layers if isinstance(layer, nn.Linear)}

    assert widths((3, 32, 32)) == {3072, 1536, 768, 384, 4}
    assert widths((3, 64, 64)) == {12288, 1536, 768, 384, 4}


@pytest.mark.parametrize("family", [autoencoders, vaes])
def test_no_dense_layer_of_small_images_is_narrower_than_the_latent(family: Any) -> None:
    network = family.build("dense", (1, 8, 8), 24)
    widths = {layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)}
    assert widths == {64, 32, 24}


@pytest.mark.parametrize("image_shape", SHAPES)
@pytest.mark.parametrize("family", [autoencoders, vaes])
@pytest.mark.parametrize("architecture", ["dense", "conv", "residual"])
def test_images_of_any_shape_come_back_in_their_shape(
    family: Any, architecture: str, image_shape: tuple[int, int, int]
) -> None:
    network = family.build(architecture, image_shape, 5).eval()
    images = torch.rand(4, *image_shape)
    latents = network.encode(images)
    assert latents.shape == (4, 5)
    decoded = network.decode(latents)
    assert decoded.shape == images.shape
    assert decoded.min() >= 0
    assert decoded.max() <= 1
    assert torch.equal(network(images), decoded)


@pytest.mark.parametrize("image_shape", SHAPES)
def test_classifier_and_denoiser_take_any_shape(image_shape: tuple[int, int, int]) -> None:
    images = torch.rand(4, *image_shape)
    classifier = Classifier(image_shape, 7).eval()
    assert classifier(images).shape == (4, 7)
    features = classifier.features(images)
    assert torch.allclose(classifier.to_logits(features), classifier(images))
    denoiser = denoisers.UNet(image_shape, 8)
    assert denoiser(images, torch.tensor([-1.5, 0.0, 0.3, 1.2])).shape == images.shape


OF_COLOUR: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
    **{
        f"{name} {architecture}": partial(family.build, architecture, COLOUR, 5)
        for name, family in (("ae", autoencoders), ("vae", vaes))
        for architecture in ("dense", "conv", "residual")
    },
    "classifier": lambda: Classifier(COLOUR, 7),
    "denoiser": lambda: partial(denoisers.UNet(COLOUR, 8), noise=torch.zeros(2)),
}


@pytest.mark.parametrize("name", OF_COLOUR)
def test_every_channel_of_colour_is_seen_and_has_its_own_values(name: str) -> None:
    images = torch.rand(2, *COLOUR).requires_grad_()
    output = OF_COLOUR[name]()(images)
    (slopes,) = torch.autograd.grad(output.square().sum(), images)
    assert (slopes.abs().amax(dim=(0, 2, 3)) > 0).all()
    for values in (output[0], slopes[0]):
        for one, other in itertools.combinations(values, 2):
            assert not torch.allclose(one, other)


@pytest.mark.parametrize(
    ("network", "shape"),
    [(denoisers.UNet((1, 12, 12), 8, 3), (1, 12, 12)), (denoisers.ResidualMLP(7, 16, 2, 3), (7,))],
)
def test_denoisers_see_the_noise_level_and_the_class(network: nn.Module, shape: tuple[int, ...]) -> None:
    for parameter in network.parameters():  # their residual blocks start as the identity, which is blind to both
        nn.init.normal_(parameter, std=0.2)
    noisy = torch.rand(1, *shape).expand(4, *shape)
    little, much, one, other = network(noisy, torch.tensor([-1.0, 1.0, 1.0, 1.0]), torch.tensor([3, 3, 0, 1]))
    for a, b in ((little, much), (much, one), (one, other)):
        assert (a - b).abs().max() > 1e-3
    torch.testing.assert_close(network(noisy[:2], torch.tensor([1.0, 1.0]))[1], much)  # no label is any class


@pytest.mark.parametrize("family", [autoencoders, vaes])
@pytest.mark.parametrize("architecture", ["dense", "conv", "residual"])
def test_one_by_one_equals_in_a_batch(family: Any, architecture: str) -> None:
    network = family.build(architecture, GREY, 8).eval()
    images = torch.rand(6, *GREY)
    singly = torch.cat([network.encode(image[None]) for image in images])
    assert torch.allclose(network.encode(images), singly, atol=1e-5)


def test_kl_is_that_of_torch_distributions() -> None:
    mean, log_var = torch.randn(5, 7), torch.randn(5, 7)
    normal = distributions.Normal(mean, (0.5 * log_var).exp())
    prior = distributions.Normal(torch.zeros(7), torch.ones(7))
    expected = distributions.kl_divergence(normal, prior).sum(dim=1)
    assert torch.allclose(vaes.kl_from_standard_normal(mean, log_var), expected, atol=1e-5)
    assert torch.equal(vaes.kl_from_standard_normal(torch.zeros(2, 3), torch.zeros(2, 3)), torch.zeros(2))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("architecture", ["dense", "conv", "residual"])
def test_the_likelihood_interprets_what_the_decoder_says(architecture: str, channels: int) -> None:
    network = vaes.build(architecture, (channels, 12, 10), 4, "discretized_logistic").eval()
    latents = 100 * torch.randn(3, 4)
    output = network.output(latents)
    assert output.shape == (3, channels, 12, 10)
    assert torch.equal(network.decode(latents), network.likelihood.mean(output))
    assert dict(network.named_parameters())["likelihood.log_scale"].shape == (channels * 120,)
    network = vaes.build(architecture, (channels, 12, 10), 4).eval()
    assert torch.equal(network.decode(latents), torch.sigmoid(network.output(latents)))


def test_the_negative_elbo_is_a_cross_entropy_and_a_weighed_divergence() -> None:
    network = vaes.build("dense", (3, 12, 10), 4).eval()
    images, noise = torch.rand(5, 3, 12, 10), torch.randn(5, 4)
    mean, log_var = network.posterior(images)
    posterior = distributions.Normal(mean, (log_var / 2).exp())
    kl = distributions.kl_divergence(posterior, distributions.Normal(0.0, 1.0)).sum(dim=1).mean()
    pixels = distributions.Bernoulli(logits=network.output(mean + posterior.scale * noise), validate_args=False)
    reconstruction = -pixels.log_prob(images).sum(dim=(1, 2, 3)).mean()
    parts = vaes.negative_elbo(network, images, noise, beta=3.0)
    torch.testing.assert_close(parts["kl"], kl)
    torch.testing.assert_close(parts["reconstruction"], reconstruction)
    torch.testing.assert_close(parts["loss"], reconstruction + 3.0 * kl)
    with torch.autocast("cpu", torch.bfloat16):
        assert vaes.negative_elbo(network, images, noise)["kl"].dtype == torch.float32


def test_reparameterised_draws_have_the_right_moments_and_gradients() -> None:
    mean = torch.tensor([1.0, -2.0]).requires_grad_()
    log_var = torch.tensor([0.0, 2.0]).requires_grad_()
    noise = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0))
    draws = vaes.reparameterise(mean.expand(100_000, 2), log_var.expand(100_000, 2), noise)
    assert torch.allclose(draws.mean(dim=0), mean, atol=0.03)
    assert torch.allclose(draws.var(dim=0), log_var.exp(), rtol=0.02)
    # E[z^2] = mean^2 + exp(log_var), so its gradients are 2 mean and exp(log_var).
    gradients: tuple[Tensor, ...] = torch.autograd.grad(draws.square().mean(dim=0).sum(), (mean, log_var))
    assert torch.allclose(gradients[0], 2 * mean, atol=0.1)
    assert torch.allclose(gradients[1], log_var.exp(), rtol=0.05)


def test_weights_go_to_arrays_and_back() -> None:
    one, other = (autoencoders.build("dense", (1, 12, 12), 3) for _ in range(2))
    one(torch.rand(20, 1, 12, 12))  # moves the running means of batch norm
    weights.load(other, weights.to_arrays(one))
    images = torch.rand(2, 1, 12, 12)
    assert torch.equal(one.eval()(images), other(images))
    assert not other.training


def test_weights_that_do_not_fit_are_told_by_name() -> None:
    arrays = weights.to_arrays(autoencoders.build("dense", (1, 12, 12), 3))
    with pytest.raises(weights.WeightsError, match=r"encoder\.10\.weight is \(3, 18\), expected \(4, 18\)"):
        weights.load(autoencoders.build("dense", (1, 12, 12), 4), arrays)
    arrays["surplus"] = arrays.pop("decoder.0.bias")
    with pytest.raises(weights.WeightsError, match=r"decoder\.0\.bias \(18,\) is missing; surplus \(18,\) is unknown"):
        weights.load(autoencoders.build("dense", (1, 12, 12), 3), arrays)
    with pytest.raises(weights.WeightsError, match=r"and \d+ more"):
        weights.load(autoencoders.build("conv", (1, 12, 12), 3), arrays)


def test_an_upsampled_convolution_is_upsampling_and_a_convolution() -> None:
    layer = blocks.UpsampledConv2d(3, 5)
    plain = nn.Conv2d(3, 5, 3, padding=1)
    plain.load_state_dict(layer.state_dict())
    maps = torch.randn(2, 3, 4, 7, requires_grad=True)
    found, expected = layer(maps), plain(functional.interpolate(maps, scale_factor=2.0))
    torch.testing.assert_close(found, expected)
    weights = torch.randn(found.shape)
    for ours, theirs in zip(
        torch.autograd.grad((found * weights).sum(), [maps, *layer.parameters()]),
        torch.autograd.grad((expected * weights).sum(), [maps, *plain.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_residual_block_starts_as_the_identity_and_can_learn_to_be_another() -> None:
    block, maps = blocks.ResidualBlock(4), torch.randn(2, 4, 5, 6)
    assert torch.equal(block(maps), maps)
    block(maps).square().sum().backward()
    last = block.branch[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.weight.grad is not None
    assert last.weight.grad.abs().max() > 0
