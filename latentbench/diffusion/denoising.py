"""From a network to estimates of the image behind the noise."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latentbench.diffusion import parameterisations
from latentbench.diffusion.parameterisations import Prediction, Weighting
from latentbench.diffusion.process import beside, noised

# Called with y (n, ...) and its levels (n,), returns the estimate of x_0 (n, ...).
Denoise = Callable[[Tensor, Tensor], Tensor]


class Denoiser(nn.Module):
    """A network and what its output means: the expectation of x_0 given y = x_0 + level * eps.

    Args:
        network: called with scaled data (n, ...), log(level) / 4 (n,) float32, and labels (n,) or None.
        prediction: what it predicts.
        data_deviation: standard deviation of the data, for the predictions that use it.
    """

    def __init__(self, network: nn.Module, prediction: Prediction, data_deviation: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.prediction, self.data_deviation = prediction, data_deviation

    def forward(self, y: Tensor, level: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map y (n, ...) at noise levels (n,), on any device, to the estimate of x_0 (n, ...)."""
        factors = parameterisations.coefficients(self.prediction, level, self.data_deviation)
        output = self._output(beside(factors.scale, y) * y, level, labels)
        return torch.as_tensor(beside(factors.skip, y) * y + beside(factors.out, y) * output)

    def loss(
        self, x0: Tensor, level: Tensor, eps: Tensor, weighting: Weighting = "output", labels: Tensor | None = None
    ) -> Tensor:
        """Return the weighted squared error, averaged over images and their values.

        x0 and eps (n, ...), level (n,)
        """
        factors = parameterisations.coefficients(self.prediction, level, self.data_deviation)
        output = self._output(beside(factors.scale, x0) * noised(x0, level, eps), level, labels)
        # (x_0 - skip * y) / out, rearranged so that nothing large is subtracted.
        target = beside((1.0 - factors.skip) / factors.out, x0) * x0
        target = target - beside(factors.skip * level / factors.out, x0) * eps
        errors = (output.float() - target).square().flatten(1).mean(dim=1)
        weights = parameterisations.weights(weighting, level)
        if weights is not None:
            errors = errors * (weights * factors.out.square()).to(errors)
        return errors.mean()

    def _output(self, scaled: Tensor, level: Tensor, labels: Tensor | None) -> Tensor:
        return torch.as_tensor(self.network(scaled, (level.log() / 4.0).to(scaled), labels))


def clipped(denoise: Denoise, low: float = -1.0, high: float = 1.0) -> Denoise:
    """Return `denoise` with its estimates clipped to the range of the data."""
    return lambda y, level: denoise(y, level).clamp(low, high)


def autoguided(denoiser: Denoiser, guide: Denoiser, scale: float) -> Denoise:
    """Return estimates pushed away from those of a weaker network (Karras et al. 2024, arXiv 2406.02507, section 4).

    Where a network has learned too little, it draws what lies between images. A smaller one that saw fewer of them errs
    in the same way, but more so. The difference between the two points away from the error.

    Args:
        denoiser: the network.
        guide: the weaker one, of the same data.
        scale: 1 is the network itself; a larger one pushes harder.
    """

    def denoise(y: Tensor, level: Tensor) -> Tensor:
        weaker = guide(y, level)
        return torch.as_tensor(weaker + scale * (denoiser(y, level) - weaker))

    return denoise


def guided(denoiser: Denoiser, labels: Tensor, nobody: int, scale: float) -> Denoise:
    """Return estimates conditioned on classes, pushed away from the unconditional ones (Ho & Salimans 2022, eq. 6).

    Args:
        denoiser: trained with labels, a share of them replaced by `nobody`.
        labels: (n,) the wanted classes.
        nobody: the label that means any class.
        scale: 1 is the conditional model itself; a larger one exaggerates what sets the class apart.
    """

    def denoise(y: Tensor, level: Tensor) -> Tensor:
        wanted = denoiser(y, level, labels)
        if scale == 1.0:
            return torch.as_tensor(wanted)
        anyone = denoiser(y, level, torch.full_like(labels, nobody))
        return torch.as_tensor(anyone + scale * (wanted - anyone))

    return denoise
