"""An autoencoder whose latents are codes from a learned codebook (van den Oord et al. 2017, arXiv 1711.00937)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from latentbench.core.errors import InputError
from latentbench.networks.autoencoders.base import Autoencoder
from latentbench.networks.blocks import n_residual_features, residual_decoder, residual_encoder

_MOST_CODES = 65_536
_POSITIONS = 16  # looked up at a time: it limits the memory for long latents
_NEAR_A_TIE = 1e-4  # difference of two distances, as a share of them, that another order of summing might reverse


class Network(Autoencoder):
    """VQ-VAE on the residual networks: between them, groups of numbers become the nearest entry of a codebook.

    The latents are `positions` times `size` numbers, where `size` is the largest divisor of `latent_dim` that is at
    most `code_size`: any number of latents can be split, a prime one into single numbers. All positions share one
    codebook. Here they are outputs of a linear layer, which sees the whole image, and not places of a feature map.

    The codebook learns by its own loss and not by a moving average. So its gradients are summed over processes, and it
    is saved, resumed and restored, like all other weights. Batch norm before it keeps the encoder's output at the scale
    at which codes start.

    Args:
        image_shape, latent_dim: as for `Autoencoder`.
        codes: entries K of the codebook.
        code_size: the most numbers in a code.
        commitment: weight beta of the term that keeps the encoder's output near its codes (eq. 3). The paper's 0.25
            is for a likelihood; beside a mean error of pixels it is so large that outputs hardly leave their codes.

    Raises:
        InputError: an option is impossible; the message names it.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        codes: int = 512,
        code_size: int = 4,
        commitment: float = 0.02,
    ) -> None:
        super().__init__(image_shape, latent_dim)
        _check_integer("codes", codes, 2, _MOST_CODES)
        _check_integer("code_size", code_size, 1, latent_dim)
        if isinstance(commitment, bool) or not isinstance(commitment, int | float) or not 0 <= commitment < math.inf:
            raise InputError(f"options.commitment must be a finite number, at least 0, not {commitment!r}")
        self.codes, self.commitment = codes, float(commitment)
        self.size = max(size for size in range(1, code_size + 1) if latent_dim % size == 0)
        self.encoder = nn.Sequential(
            residual_encoder(image_shape),
            nn.Linear(n_residual_features(image_shape), latent_dim),
            nn.BatchNorm1d(latent_dim),
        )
        self.decoder = nn.Sequential(residual_decoder(latent_dim, image_shape), nn.Sigmoid())
        # Flat, not a matrix: Muon makes the steps of matrices orthogonal, which would move codes that nothing chose.
        self.codebook = nn.Parameter(torch.randn(codes * self.size))

    @property
    def positions(self) -> int:
        """How many codes represent an image."""
        return self.latent_dim // self.size

    def encode(self, images: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to latents (n, latent_dim) made of codes."""
        return self.quantise(self.encoder(images).float())

    def quantise(self, outputs: Tensor) -> Tensor:
        """Replace each position of the encoder's outputs (n, latent_dim) by its nearest code (eq. 1 and 2)."""
        nearest = self.indices(outputs)
        return functional.embedding(nearest, self._entries()).flatten(1)

    def indices(self, outputs: Tensor) -> Tensor:
        """Return which code is the nearest at each position of outputs (n, latent_dim), (n, positions) int64."""
        with torch.no_grad():
            return torch.cat([distances.argmin(dim=-1) for distances in self._distances(outputs)], dim=1)

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """Return the three terms of eq. 3, with the mean squared error per pixel as the first, and their sum.

        The gradient passes straight through the codes: the encoder gets that of the decoder's input. Unlike in the
        paper, the second term has the weight of the third: Adam's steps are equally large whatever it is, and the sum,
        by which the epoch is chosen, remains mostly the error of the images.
        """
        outputs = self.encoder(images).float()
        quantised = self.quantise(outputs)
        straight = outputs + (quantised - outputs).detach()
        reconstruction = functional.mse_loss(self.decode(straight).float(), images)
        codebook = functional.mse_loss(quantised, outputs.detach())
        commitment = functional.mse_loss(outputs, quantised.detach())
        return {
            "loss": reconstruction + self.commitment * (codebook + commitment),
            "reconstruction": reconstruction,
            "commitment": commitment,
        }

    def settled(self, images: Tensor) -> Tensor:
        """Return for which latents of images (n, c, h, w) rounding cannot change the code, (n, latent_dim) bool."""
        with torch.no_grad():
            found = []
            for distances in self._distances(self.encoder(images).float()):
                first, second = distances.topk(2, dim=-1, largest=False).values.unbind(dim=-1)
                found.append(second - first > _NEAR_A_TIE * second)
            return torch.cat(found, dim=1).repeat_interleave(self.size, dim=1)

    def measure(self, latents: Tensor) -> dict[str, float]:
        """Return how much of the codebook the latents (n, latent_dim) of images use.

        Returns:
            `codes_used_share`, of all codes; `code_perplexity`, the exponential of the entropy of how often each is
            used: as many equally used codes would carry as much; `bits_per_image`, of the indices of its codes.
        """
        _, counts = latents.reshape(-1, self.size).unique(dim=0, return_counts=True)
        shares = counts.double() / counts.sum()
        return {
            "codes_used_share": len(counts) / self.codes,
            "code_perplexity": torch.special.entr(shares).sum().exp().item(),
            "bits_per_image": self.positions * math.log2(self.codes),
        }

    def _entries(self) -> Tensor:
        return self.codebook.view(self.codes, self.size)

    def _distances(self, outputs: Tensor) -> list[Tensor]:
        """Return the squared distances of positions to all codes, some positions at a time, (n, some, codes) each.

        They are summed number by number: a matrix product would be in bfloat16 when training is.
        """
        parts = outputs.reshape(-1, self.positions, self.size).split(_POSITIONS, dim=1)
        return [sum_of_squares(part, self._entries()) for part in parts]


def sum_of_squares(points: Tensor, codes: Tensor) -> Tensor:
    """Return the squared Euclidean distances of points (..., d) to codes (k, d), (..., k)."""
    found = (points[..., :1] - codes[:, 0]).square()
    for axis in range(1, codes.shape[1]):
        found = found + (points[..., axis, None] - codes[:, axis]).square()
    return found


def _check_integer(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"options.{name} must be a whole number from {least} to {most}, not {value!r}")
