"""The loss of beta-TC-VAE (Chen et al. 2018, arXiv 1802.04942), which weights total correlation separately.

Over images, the divergence of the posteriors from the prior is the sum of three terms (eq. 2): what the latents say
about the image, their total correlation KL(q(z) || prod_k q(z_k)), and how far each one alone is from the prior.
"""

import math

import torch
from torch import Tensor

from latentbench import parallel
from latentbench.networks.vaes import base
from latentbench.networks.vaes.base import VAE

_ROWS = 50  # draws at a time: it limits the memory when there are no gradients


def negative_elbo(network: VAE, images: Tensor, noise: Tensor, beta: float, weight: float) -> dict[str, Tensor]:
    """Return the loss reconstruction + beta * (KL + (weight - 1) * total correlation), in mean nats per image.

    With beta = 1 it is the loss of beta-TC-VAE (eq. 4, with alpha = gamma = 1 and `weight` as its beta). The divergence
    is exact, the total correlation is estimated from the batch.

    Args:
        network: the VAE.
        images: (n, c, h, w) in [0, 1].
        noise: (n, latent_dim), standard normal.
        beta: weight of the whole divergence.
        weight: of the total correlation within it.

    Returns:
        Scalars: "loss" and its parts "reconstruction", "kl" and "total_correlation", the latter two without weights.
    """
    mean, log_var, latents, reconstruction = base.terms(network, images, noise)
    kl = base.kl_from_standard_normal(mean, log_var).mean()
    if network.training:  # in validation, each process has the whole batch
        mean_of_all, log_var_of_all = parallel.gather(torch.stack([mean, log_var], dim=1)).unbind(dim=1)
    else:
        mean_of_all, log_var_of_all = mean, log_var
    correlation = estimate(latents, mean_of_all, log_var_of_all)
    loss = reconstruction + beta * (kl + (weight - 1.0) * correlation)
    return {"loss": loss, "reconstruction": reconstruction, "kl": kl, "total_correlation": correlation}


def estimate(latents: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Estimate the total correlation of q(z) = E_x q(z | x) from a batch, in nats, by minibatch-weighted sampling.

    q(z), and likewise each q(z_k), is estimated by the mean of q(z | x) over the batch's images (Chen et al. 2018, eq.
    5). The paper also divides by the number of all images. That adds a constant, which has no gradient, and would hide
    the value itself: without it, a batch of all images has no bias but that of the draws. In a smaller batch, each
    draw's own image counts too much. If the posteriors of different images do not overlap, the estimate reflects only
    the batch's size: (d - 1) log n at most.

    Args:
        latents: (m, d), draws from q(z | x) of some images of the batch.
        mean, log_var: (n, d), of q(z | x) of all images of the batch.

    Returns:
        A scalar.
    """
    precision, constants = torch.exp(-log_var), log_var + math.log(2.0 * math.pi)
    found = []
    for some in latents.split(_ROWS):
        squares = (some[:, None] - mean).square()
        log_densities = -0.5 * (squares * precision + constants)  # (some, n, d)
        joint = torch.logsumexp(log_densities.sum(dim=2), dim=1) - math.log(len(mean))
        alone = torch.logsumexp(log_densities, dim=1) - math.log(len(mean))
        found.append(joint - alone.sum(dim=1))
    return torch.cat(found).mean()
