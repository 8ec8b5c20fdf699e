"""What a latent space is like: what each latent carries, how near they are to the prior, what lies between points."""

import numpy as np
import torch
from torch import Tensor

from latentbench import inference
from latentbench.core.errors import check_finite
from latentbench.evaluation.samples import Moments, frechet_distance, moments
from latentbench.networks.vaes import base as vaes
from latentbench.networks.vaes.base import VAE

_BLOCK = 1000  # draws
_PARALLEL = 1e-4  # sine of the angle below which two directions count as one line


@torch.no_grad()
def posteriors(network: VAE, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and log variance of q(z | x) for images (n, c, h, w) in [0, 1], each (n, latent_dim)."""
    means, log_vars = zip(*(network.posterior(batch) for batch in images.split(inference.BATCH)), strict=True)
    return torch.cat(means), torch.cat(log_vars)


def divergences(means: Tensor, log_vars: Tensor) -> np.ndarray:
    """Return the mean of KL(q(z | x) || N(0, I)) over images for each latent, (latent_dim,) float64, in nats.

    Args:
        means, log_vars: (n, latent_dim), of q(z | x).
    """
    each = vaes.kl_from_standard_normal(means.double()[..., None], log_vars.double()[..., None])
    return each.mean(dim=0).numpy()


def frechet_to_prior(draws: np.ndarray) -> float:
    """Return the squared Fréchet distance of a Gaussian with the moments of draws (n, d) from N(0, I).

    For draws from the prior itself it is not zero but about d (d + 5) / (4 n): compare with as many of those.
    """
    n, dim = draws.shape
    prior = Moments(n, np.zeros(dim), (n - 1) * np.eye(dim))  # sums that give mean 0 and covariance I
    return frechet_distance(moments(draws), prior)


def kernel_to_prior(draws: np.ndarray) -> float:
    """Return the squared maximum mean discrepancy between the law of draws (n, d) and N(0, I).

    Unbiased (Gretton et al. 2012, lemma 6), with the Gaussian kernel exp(-|x - y|^2 / (2 d)); terms with the prior
    are exact: a Gaussian integrates over a Gaussian in closed form. If the laws are alike it may be below zero.

    Raises:
        InputError: a draw is not finite.
    """
    check_finite(draws, "draws")
    n, dim = draws.shape
    points = torch.tensor(draws, dtype=torch.float32) / dim**0.5
    squares = points.square().sum(dim=1)
    within = 0.0
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        exponents = torch.addmm(-0.5 * squares, points[block], points.T).sub_(0.5 * squares[block, None])
        within += exponents.clamp_(max=0.0).exp_().sum(dtype=torch.float64).item()
    pairs = (within - n) / (n * (n - 1))  # a point and itself are not a pair
    across = (dim / (dim + 1.0)) ** (dim / 2.0) * torch.exp(-squares.double() / (2.0 + 2.0 / dim)).mean().item()
    return float(pairs - 2.0 * across + (dim / (dim + 2.0)) ** (dim / 2.0))


def silhouette(points: np.ndarray, labels: np.ndarray, n_most: int, generator: np.random.Generator) -> float:
    """Return how much nearer points (n, d) are to their own class than to the next one (Rousseeuw 1987).

    From -1 to 1: the mean of (b - a) / max(a, b), where a is the mean Euclidean distance to the point's own class and b
    the smallest such mean to another class. Over at most `n_most` points, drawn by `generator`.
    """
    chosen = generator.permutation(len(points))[:n_most]
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(np.asarray(points)[chosen], labels[chosen]))


def straight(first: Tensor, second: Tensor, shares: Tensor) -> Tensor:
    """Return the points at shares (s,) of the straight line from first (n, d) to second (n, d), (n, s, d)."""
    return torch.lerp(first[:, None], second[:, None], shares[:, None])


def spherical(first: Tensor, second: Tensor, shares: Tensor, centre: Tensor) -> Tensor:
    """Return the points at shares (s,) of the arc around a centre (d,) from first (n, d) to second (n, d), (n, s, d).

    The weights of the ends are sin((1 - t) angle) / sin(angle) and sin(t angle) / sin(angle) (Shoemake 1985; White
    2016): the arc keeps its distance from the centre if both ends have the same. If the ends lie on one line with the
    centre there is no angle to go around, and the arc is a straight line.
    """
    # In double precision from the start, so that the ends come back to the last bit.
    a, b = first.double() - centre, second.double() - centre
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1).clamp(-1.0, 1.0)
    sine = (1.0 - cosine.square()).sqrt()[:, None]
    angle, t = torch.atan2(sine, cosine[:, None]), shares.double()
    on_a_line = (sine < _PARALLEL) | (torch.minimum(a.norm(dim=1), b.norm(dim=1)) == 0.0)[:, None]
    sine = torch.where(on_a_line, 1.0, sine)
    of_first = torch.where(on_a_line, 1.0 - t, torch.sin((1.0 - t) * angle) / sine)  # (n, s)
    of_second = torch.where(on_a_line, t, torch.sin(t * angle) / sine)
    return (centre + of_first[..., None] * a[:, None] + of_second[..., None] * b[:, None]).to(first.dtype)
