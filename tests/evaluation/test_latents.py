"""Numbers about latent spaces at known answers: the prior itself, a law far from it, values written out by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from latentbench.evaluation import latents
from latentbench.networks.vaes import base as vaes


def test_divergences_are_those_of_each_latent_and_add_up() -> None:
    network = vaes.build("dense", (1, 8, 8), 5).eval()
    images = torch.rand(1300, 1, 8, 8)
    means, log_vars = latents.posteriors(network, images)
    torch.testing.assert_close(means, network.encode(images))
    found = latents.divergences(means, log_vars)
    assert found.shape == (5,)
    assert found.sum() == pytest.approx(vaes.kl_from_standard_normal(means, log_vars).mean().item(), rel=1e-5)
    by_hand = latents.divergences(torch.tensor([[0.0, 2.0]]), torch.tensor([[0.0, math.log(4)]]))
    assert by_hand == pytest.approx([0.0, 0.5 * (4 + 4 - 1 - math.log(4))])


def test_draws_of_the_prior_are_at_the_floor_and_others_are_not(rng: np.random.Generator) -> None:
    n, dim = 4000, 8
    prior = rng.normal(size=(n, dim))
    assert latents.frechet_to_prior(prior) == pytest.approx(dim * (dim + 5) / (4 * n), rel=0.6)
    assert abs(latents.kernel_to_prior(prior)) < 1e-4
    for other in (prior + 0.5, 0.5 * prior, np.sign(prior)):
        assert latents.kernel_to_prior(other) > 4e-4
    assert latents.frechet_to_prior(np.sign(prior)) < 0.02, "signs have the prior's moments, which is all it sees"


def test_the_frechet_distance_to_the_prior_by_hand() -> None:
    # Four points of mean (1, 0) and covariance diag(4, 1): |mean|^2 + (2 - 1)^2 + (1 - 1)^2.
    points = np.array([[1.0, 0.0]] * 4) + np.array([[2, 1], [2, -1], [-2, 1], [-2, -1]]) * np.sqrt(3 / 4)
    assert latents.frechet_to_prior(points) == pytest.approx(2.0)


def test_the_kernel_distance_to_the_prior_by_integration() -> None:
    points = np.array([-0.4, 0.3, 2.0])
    kernel = lambda x, y: np.exp(-((x - y) ** 2) / 2)  # noqa: E731
    pairs = np.mean([kernel(x, y) for i, x in enumerate(points) for j, y in enumerate(points) if i != j])
    across = np.mean([quad(lambda y, x=x: kernel(x, y) * norm.pdf(y), -9, 9)[0] for x in points])
    prior = quad(lambda d: np.exp(-(d**2) / 2) * norm.pdf(d, scale=np.sqrt(2)), -12, 12)[0]
    assert latents.kernel_to_prior(points[:, None]) == pytest.approx(pairs - 2 * across + prior, abs=1e-6)


def test_silhouettes_of_classes_apart_mixed_and_by_hand(rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1], 100)
    points = rng.normal(size=(200, 3))
    apart = points + 1000.0 * labels[:, None]
    assert latents.silhouette(apart, labels, 150, rng) > 0.99
    assert latents.silhouette(points, labels, 200, rng) == pytest.approx(0.0, abs=0.05)
    # a = 1, 1, 2, 2 and b = 6, 5, 4.5, 6.5 for 0, 1 against 5, 7.
    by_hand = (5 / 6 + 4 / 5 + 2.5 / 4.5 + 4.5 / 6.5) / 4
    few = np.array([[0.0], [1.0], [5.0], [7.0]])
    assert latents.silhouette(few, np.array([0, 0, 1, 1]), 4, rng) == pytest.approx(by_hand)


def test_ways_begin_and_end_where_they_should(rng: np.random.Generator) -> None:
    first, second, centre = (torch.tensor(rng.normal(size=size), dtype=torch.float32) for size in ((9, 4), (9, 4), 4))
    shares = torch.linspace(0, 1, 7)
    for way in (latents.straight(first, second, shares), latents.spherical(first, second, shares, centre)):
        assert way.shape == (9, 7, 4)
        assert torch.equal(way[:, 0], first)
        assert torch.equal(way[:, -1], second)
    middle = latents.straight(first, second, shares)[:, 3]
    torch.testing.assert_close(middle, (first + second) / 2)


def test_a_spherical_way_turns_at_equal_speed_and_keeps_its_distance() -> None:
    centre = torch.tensor([5.0, -1.0])
    first, second = centre + torch.tensor([[2.0, 0.0]]), centre + torch.tensor([[0.0, 2.0]])
    way = latents.spherical(first, second, torch.tensor([0.0, 1 / 3, 2 / 3, 1.0]), centre)[0] - centre
    angles = torch.atan2(way[:, 1], way[:, 0])
    torch.testing.assert_close(angles, torch.tensor([0.0, 1 / 3, 2 / 3, 1.0]) * math.pi / 2, atol=1e-5, rtol=0)
    torch.testing.assert_close(way.norm(dim=1), torch.full((4,), 2.0))


@pytest.mark.parametrize("end", [[3.0], [-3.0], [0.0]])
def test_on_one_line_with_the_centre_the_way_is_straight(end: list[float]) -> None:
    first, second, shares = torch.tensor([[1.0]]), torch.tensor([end]), torch.linspace(0, 1, 5)
    found = latents.spherical(first, second, shares, torch.zeros(1))
    torch.testing.assert_close(found, latents.straight(first, second, shares))
