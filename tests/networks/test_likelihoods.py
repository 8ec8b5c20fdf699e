"""Observation models: against torch.distributions, naive formulas, the axioms of probability, and at the extremes."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, distributions

from latentbench.networks import likelihoods
from latentbench.networks.likelihoods import AutoregressiveLogistic, DiscretizedLogistic

LEVELS = torch.arange(256, dtype=torch.float64) / 255


def logistic(log_scale: float, width: int = 1) -> DiscretizedLogistic:
    model = DiscretizedLogistic((1, 1, width)).double()
    with torch.no_grad():
        model.log_scale.fill_(log_scale)
    return model


def probabilities(location: float, log_scale: float) -> Tensor:
    """Return what the model gives each of the 256 values of a single pixel."""
    locations = torch.full((256, 1, 1, 1), location, dtype=torch.float64)
    nats = logistic(log_scale).nats(locations, LEVELS[:, None, None, None])
    return torch.exp(-nats).detach()


def test_bernoulli_is_that_of_torch_distributions_on_black_and_white() -> None:
    logits, pixels = 3 * torch.randn(4, 3, 6, 5), torch.randint(2, (4, 3, 6, 5)).float()
    model = likelihoods.build("bernoulli", (3, 6, 5))
    expected = -distributions.Bernoulli(logits=logits).log_prob(pixels).sum(dim=(1, 2, 3))
    assert torch.allclose(model.nats(logits, pixels), expected, atol=1e-4)
    assert torch.equal(model.mean(logits), distributions.Bernoulli(logits=logits).mean)


def test_bernoulli_on_grey_is_the_cross_entropy_which_is_least_at_the_pixel_itself() -> None:
    model, grey = likelihoods.build("bernoulli", (1, 1, 1)), torch.tensor([[[[0.3]]]])
    at = [model.nats(torch.logit(torch.tensor([[[[p]]]])), grey).item() for p in (0.2, 0.3, 0.4)]
    assert at[1] == pytest.approx(distributions.Bernoulli(0.3).entropy().item(), abs=1e-6)
    assert at[1] < min(at[0], at[2])


def test_names_and_what_they_promise() -> None:
    promised = (("bernoulli", False, 0), ("discretized_logistic", True, 1), ("autoregressive_logistic", True, 1))
    for name, proper, n_for_each in promised:
        for image_shape in ((1, 6, 5), (3, 6, 5)):
            model = likelihoods.build(name, image_shape)  # type: ignore[arg-type]
            assert (model.name, model.proper_on_grey) == (name, proper)
            assert sum(parameter.numel() for parameter in model.parameters()) == n_for_each * math.prod(image_shape)


@pytest.mark.parametrize(
    ("location", "log_scale"),
    [*itertools.product([-0.2, 0.0, 0.31, 0.5, 1.0, 1.4], [-5.0, -3.0, 0.0]), (0.4, -30.0), (-1e4, -3.0), (0.5, 20.0)],
)
def test_the_256_values_share_a_probability_of_one(location: float, log_scale: float) -> None:
    found = probabilities(location, log_scale)
    assert found.min() >= 0
    assert found.sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("location", "log_scale"), [*itertools.product([-0.05, 0.0, 0.31, 0.7, 1.1], [-4.0, -3.0, -1.0])]
)
def test_each_bin_is_a_difference_of_two_cumulative_probabilities(location: float, log_scale: float) -> None:
    """The sum over bins does not see a shift or a wrong scale; this does."""
    steps = [
        distributions.SigmoidTransform(),
        distributions.AffineTransform(torch.tensor(location, dtype=torch.float64), math.exp(log_scale)),
    ]
    base = distributions.Uniform(torch.zeros(1).double(), torch.ones(1).double())
    variable = distributions.TransformedDistribution(base, [steps[0].inv, steps[1]])
    below = variable.cdf((torch.arange(255).double() + 0.5) / 255)  # of the edges between bins
    expected = torch.diff(below, prepend=torch.zeros(1).double(), append=torch.ones(1).double())
    assert torch.allclose(probabilities(location, log_scale), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("location", "log_scale"), [*itertools.product([-3.0, -0.05, 0.0, 0.31, 0.7, 1.1, 4.0], [-5.0, -3.0, -1.0])]
)
def test_the_mean_is_the_expected_pixel(location: float, log_scale: float) -> None:
    expected = (probabilities(location, log_scale) * LEVELS).sum().item()
    found = logistic(log_scale).mean(torch.full((1, 1, 1, 1), location, dtype=torch.float64)).item()
    assert found == pytest.approx(expected, abs=0.5 / 255)
    assert 0 <= found <= 1


@pytest.mark.parametrize("image_shape", [(1, 2, 3), (3, 2, 3)])
def test_values_and_images_are_kept_apart_and_each_channel_of_each_pixel_has_its_own_scale(
    image_shape: tuple[int, int, int],
) -> None:
    model = DiscretizedLogistic(image_shape).double()
    torch.nn.init.normal_(model.log_scale, mean=-3.0)
    location, pixels = torch.rand(4, *image_shape).double(), torch.randint(256, (4, *image_shape)) / 255.0
    pixels = pixels.double()
    expected, means = torch.zeros(4).double(), torch.zeros_like(location)
    for i, place in itertools.product(range(4), np.ndindex(image_shape)):
        alone = logistic(model.log_scale.view(image_shape)[place].item())
        one, pixel = (each[i][place].view(1, 1, 1, 1) for each in (location, pixels))
        expected[i] += alone.nats(one, pixel)[0]
        means[i][place] = alone.mean(one).item()
    assert torch.allclose(model.nats(location, pixels), expected, rtol=1e-12)
    assert torch.allclose(model.mean(location), means, rtol=1e-12)


def test_pixels_are_taken_to_the_nearest_of_256_values() -> None:
    """uint8 / 255 in float32 misses its integer by rounding; half a level more is another pixel."""
    model, location = logistic(-3.0, 256), torch.full((1, 1, 1, 256), 0.4, dtype=torch.float64)
    exact = model.nats(location, LEVELS.view(1, 1, 1, 256))
    assert torch.equal(model.nats(location, LEVELS.float().double().view(1, 1, 1, 256)), exact)
    assert torch.equal(model.nats(location, (LEVELS + 0.4 / 255).view(1, 1, 1, 256)), exact)
    assert not torch.allclose(model.nats(location, (LEVELS + 0.6 / 255).view(1, 1, 1, 256)), exact)


def value_and_slopes(pixel: float, location: float, log_scale: float, dtype: torch.dtype) -> tuple[float, float, float]:
    """Return the nats of a pixel and their derivatives by location and by log scale."""
    model = logistic(log_scale).to(dtype)
    output = torch.full((1, 1, 1, 1), location, dtype=dtype).requires_grad_()
    nats = model.nats(output, torch.full((1, 1, 1, 1), pixel, dtype=dtype))
    slopes = torch.autograd.grad(nats.sum(), (output, model.log_scale))
    return nats.item(), slopes[0].item(), slopes[1].item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_finite_everywhere(dtype: torch.dtype) -> None:
    for case in itertools.product([0.0, 0.4, 1.0], [-1e3, 0.0, 0.4, 0.4000001, 1.0, 1e3], [-30.0, -8.0, -3.0, 30.0]):
        found = value_and_slopes(*case, dtype)
        assert all(map(math.isfinite, found)), case
        assert found[0] >= 0, case


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_far_location_costs_its_distance_in_scales(dtype: torch.dtype) -> None:
    """Where probabilities underflow, the tail is exponential: -log P = d / s, d measured to the nearer edge."""
    for pixel, location, log_scale in itertools.product([0.0, 0.4, 1.0], [-1e3, 1e3], [-30.0, -8.0, -3.0]):
        if (pixel, location) in ((0.0, -1e3), (1.0, 1e3)):
            assert value_and_slopes(pixel, location, log_scale, dtype) == (0, 0, 0)
            continue
        distance, scale = abs(location - pixel) - 0.5 / 255, math.exp(log_scale)
        tail = math.log(-math.expm1(-1 / (255 * scale))) if 0 < pixel < 1 else 0.0
        value, by_location, by_scale = value_and_slopes(pixel, location, log_scale, dtype)
        assert value == pytest.approx(distance / scale - tail, rel=1e-4)
        assert by_location == pytest.approx(math.copysign(1 / scale, location), rel=1e-4)
        assert by_scale == pytest.approx(-distance / scale, rel=1e-4)


def test_gradients_are_those_of_finite_differences() -> None:
    model = DiscretizedLogistic((2, 2, 2)).double()
    torch.nn.init.normal_(model.log_scale, mean=-3.0)
    pixels = (torch.tensor([[[0, 1], [100, 254]], [[255, 30], [0, 255]]]) / 255.0).double().expand(2, 2, 2, 2)
    location = (pixels + 0.1 * torch.randn(2, 2, 2, 2).double()).requires_grad_()
    assert torch.autograd.gradcheck(lambda output: model.nats(output, pixels), location)

    def of_scale(log_scale: Tensor) -> Tensor:
        return torch.func.functional_call(_Nats(model), {"model.log_scale": log_scale}, (location.detach(), pixels))

    assert torch.autograd.gradcheck(of_scale, model.log_scale.detach().clone().requires_grad_())


class _Nats(torch.nn.Module):
    def __init__(self, model: DiscretizedLogistic) -> None:
        super().__init__()
        self.model = model

    def forward(self, output: Tensor, pixels: Tensor) -> Tensor:
        return self.model.nats(output, pixels)


def test_saturated_black_and_white_cost_nothing() -> None:
    model = logistic(-3.0, 2)
    assert model.nats(torch.tensor([[[[-2.0, 3.0]]]]).double(), torch.tensor([[[[0.0, 1.0]]]]).double()).item() < 1e-15


def autoregressive(image_shape: tuple[int, int, int]) -> AutoregressiveLogistic:
    model = AutoregressiveLogistic(image_shape).double()
    torch.nn.init.normal_(model.log_scale, mean=-3.0)
    return model


def outputs(n: int, image_shape: tuple[int, int, int]) -> Tensor:
    """Return what a decoder might give: guesses in about [0, 1], offsets of the log scales, and logits of weights."""
    guess = 0.5 + 0.3 * torch.randn(n, *image_shape)
    return torch.cat([guess, torch.randn(n, 3 * image_shape[0], *image_shape[1:])], dim=1).double()


def locations_one_after_another(output: Tensor, known: Tensor) -> Iterator[tuple[tuple[slice | int, ...], Tensor]]:
    """Yield each place (channel, row, column) of an image in reading order, and the locations of that pixel, (n,)."""
    guess, _, left, above = output.chunk(4, dim=1)
    for channel, row, column in np.ndindex(tuple(known.shape[1:])):
        here = (slice(None), channel, row, column)
        to_left, to_top = left[here].exp(), above[here].exp()
        total = to_left + to_top + 1.0
        location = guess[here] / total
        if column:
            location = location + to_left / total * known[:, channel, row, column - 1]
        if row:
            location = location + to_top / total * known[:, channel, row - 1, column]
        yield here, location


def log_scales(model: AutoregressiveLogistic, output: Tensor) -> Tensor:
    return (model.log_scale.detach().view(model.image_shape) + output.chunk(4, dim=1)[1]).clamp(-8, 2)


@pytest.mark.parametrize("image_shape", [(1, 3, 4), (3, 4, 2)])
def test_autoregressive_pixels_are_scored_given_those_to_the_left_and_above(image_shape: tuple[int, int, int]) -> None:
    model, output = autoregressive(image_shape), outputs(3, image_shape)
    images = torch.randint(256, (3, *image_shape)).double() / 255
    expected, of_pixels = torch.zeros(3).double(), log_scales(model, output)
    for here, location in locations_one_after_another(output, images):
        for i in range(3):
            alone = logistic(of_pixels[here][i].item())
            expected[i] += alone.nats(location[i].view(1, 1, 1, 1), images[here][i].view(1, 1, 1, 1))[0]
    found = model.nats(output, images)
    assert torch.allclose(found, expected, rtol=1e-10)
    assert torch.allclose(model.nats(output, images + 0.4 / 255), found, rtol=1e-10)  # of the nearest 256 values


def test_autoregressive_pairs_of_pixels_share_a_probability_of_one() -> None:
    for image_shape in ((1, 1, 2), (1, 2, 1)):
        model, output = autoregressive(image_shape), outputs(1, image_shape)
        pairs = torch.cartesian_prod(LEVELS, LEVELS).view(-1, *image_shape)
        total = torch.exp(-model.nats(output.expand(len(pairs), -1, -1, -1), pairs)).sum()
        assert total.item() == pytest.approx(1, abs=1e-9)


def test_without_weight_on_neighbours_autoregressive_pixels_are_those_of_discretised_logistics() -> None:
    image_shape = (2, 3, 4)
    model, plain = autoregressive(image_shape), DiscretizedLogistic(image_shape).double()
    plain.load_state_dict(model.state_dict())
    guess = torch.rand(5, *image_shape).double()
    images = torch.randint(256, (5, *image_shape)).double() / 255
    nothing = torch.full_like(guess, -1000.0)
    output = torch.cat([guess, torch.zeros_like(guess), nothing, nothing], dim=1)
    assert torch.allclose(model.nats(output, images), plain.nats(guess, images), rtol=1e-12)
    assert torch.allclose(model.mean(output), plain.mean(guess), rtol=1e-12)


@pytest.mark.parametrize("image_shape", [(1, 5, 4), (3, 3, 6)])
def test_drawing_all_pixels_at_once_gives_what_drawing_one_after_another_gives(
    image_shape: tuple[int, int, int],
) -> None:
    model, output = autoregressive(image_shape), outputs(4, image_shape)
    uniform = torch.rand(4, *image_shape).double()
    drawn, mean = torch.zeros_like(uniform), torch.zeros_like(uniform)
    scale = log_scales(model, output).exp()
    for here, location in locations_one_after_another(output, drawn):
        value = location + scale[here] * torch.logit(uniform[here])
        drawn[here] = (255 * value).round().clamp(0, 255) / 255
    for here, location in locations_one_after_another(output, mean):
        for i in range(4):
            alone = logistic(scale[here][i].log().item())
            mean[here][i] = alone.mean(location[i].view(1, 1, 1, 1)).item()
    with torch.no_grad():
        assert torch.allclose(model.sample(output, uniform), drawn, atol=1e-12)
        assert torch.allclose(model.mean(output), mean, atol=1e-12)


def test_the_mean_of_an_autoregressive_model_is_that_of_its_draws() -> None:
    """Away from the edges, where nothing is clipped."""
    model, n = autoregressive((1, 6, 5)), 20_000
    output = outputs(1, (1, 6, 5))
    output[:, 0] = 0.5
    output[:, 1] = -1.5
    output[:, 2:, 0, 0] = -50.0  # black beyond the border would be an edge
    output[:, 2, :, 0] = output[:, 3, 0] = -50.0
    with torch.no_grad():
        uniform = torch.rand(n, 1, 6, 5, generator=torch.Generator().manual_seed(0)).double()
        drawn = model.sample(output.expand(n, -1, -1, -1), uniform)
        error = drawn.std(dim=0) / n**0.5
        assert (drawn.std(dim=0) > 0.005).all()
        assert ((drawn.mean(dim=0) - model.mean(output)[0]).abs() < 5 * error + 0.1 / 255).all()


def test_draws_are_as_frequent_as_they_are_probable() -> None:
    """The mean cost of draws is the entropy, which is also the sum over all values; and no draw is impossible."""
    model, output, n = autoregressive((1, 1, 2)), outputs(1, (1, 1, 2)), 40_000
    pairs = torch.cartesian_prod(LEVELS, LEVELS).view(-1, 1, 1, 2)
    with torch.no_grad():
        nats = model.nats(output.expand(len(pairs), -1, -1, -1), pairs)
        many = output.expand(n, -1, -1, -1)
        drawn = model.sample(many, torch.rand(n, 1, 1, 2, generator=torch.Generator().manual_seed(0)).double())
        found = model.nats(many, drawn)
    probabilities = torch.exp(-nats)
    assert found.mean().item() == pytest.approx(
        (probabilities * nats).sum().item(), abs=5 * found.std().item() / n**0.5
    )
    means = (probabilities[:, None] * pairs.flatten(1)).sum(dim=0)
    assert torch.allclose(drawn.flatten(1).mean(dim=0), means, atol=5 * drawn.std().item() / n**0.5)


def test_other_models_draw_their_mean() -> None:
    output = torch.randn(3, 1, 4, 5)
    for model in (likelihoods.build("bernoulli", (1, 4, 5)), DiscretizedLogistic((1, 4, 5))):
        assert torch.equal(model.sample(output, torch.rand(3, 1, 4, 5)), model.mean(output))


@pytest.mark.parametrize("extreme", [-1e3, 0.0, 1e3])
def test_autoregressive_values_and_gradients_are_finite_everywhere(extreme: float) -> None:
    model = AutoregressiveLogistic((1, 2, 2))
    images = torch.tensor([0.0, 0.4, 1.0, 0.4]).view(1, 1, 2, 2)
    for place in range(4):
        output = torch.zeros(1, 4, 2, 2)
        output[:, place] = extreme
        output.requires_grad_()
        nats = model.nats(output, images)
        slopes = torch.autograd.grad(nats.sum(), (output, model.log_scale))
        assert nats.item() >= 0
        assert all(bool(each.isfinite().all()) for each in (nats, *slopes)), place
        assert bool(model.sample(output, torch.tensor([0.0, 1.0, 0.5, 0.9]).view(1, 1, 2, 2)).isfinite().all())
