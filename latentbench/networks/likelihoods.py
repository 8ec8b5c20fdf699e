"""How a VAE's decoder scores pixels: observation models p(x | z) that share one interface."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

Name: TypeAlias = Literal["bernoulli", "discretized_logistic"]

_TOP = 255  # the highest value of an 8-bit pixel
_INITIAL_LOG_SCALE = -3.0  # a standard deviation of 0.09 on [0, 1], about the error that training ends with


class Likelihood(nn.Module, ABC):
    """An observation model: how a decoder's raw output (n, c, h, w) scores images.

    Attributes:
        name: of the model.
        proper_on_grey: whether `nats` is a negative log-likelihood on grey pixels too, and not only on black and white.
    """

    name: Name
    proper_on_grey: bool

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """Map a decoder's output (n, c, h, w) to images in [0, 1] of the same shape."""

    @abstractmethod
    def nats(self, output: Tensor, images: Tensor) -> Tensor:
        """Score images (n, c, h, w) in [0, 1] under `output` of the same shape: (n,) nats, summed over pixels."""


class Bernoulli(Likelihood):
    """Each pixel is a coin that shows white; the decoder's output is its logit."""

    name = "bernoulli"
    proper_on_grey = False

    def mean(self, output: Tensor) -> Tensor:
        """Map logits (n, c, h, w) to the probabilities of white, which are the expected pixels."""
        return torch.sigmoid(output)

    def nats(self, output: Tensor, images: Tensor) -> Tensor:
        """Return the binary cross-entropy (n,). On black and white it is -log p(x | z), on grey only a loss."""
        pixelwise = functional.binary_cross_entropy_with_logits(output, images, reduction="none")
        return pixelwise.flatten(1).sum(dim=1)


class DiscretizedLogistic(Likelihood):
    """Each 8-bit pixel is the bin that a logistic variable falls into (Salimans et al. 2017, eq. 2, one component).

    The decoder's output is the location on the scale [0, 1]. Nothing bounds it: far below 0, all mass falls into the
    bin of black, which is open to minus infinity as that of white is to plus infinity, so that plain background costs
    nothing. Each channel of each pixel has its own scale, the same for all images.

    Args:
        image_shape: channels, height and width of an image; `log_scale` is a parameter with a number for each value of
            an image, the log of its scale on [0, 1].
    """

    name = "discretized_logistic"
    proper_on_grey = True

    def __init__(self, image_shape: Sequence[int]) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.log_scale = nn.Parameter(torch.full((math.prod(image_shape),), _INITIAL_LOG_SCALE))

    def mean(self, output: Tensor) -> Tensor:
        """Map locations m (n, c, h, w) to the expected pixels in [0, 1], as if levels were continuous.

        Values beyond an edge count as the edge, so that with the scale s this is the integral over [0, 1] of
        P(X > x) = sigmoid((m - x) / s), which is s (softplus(m / s) - softplus((m - 1) / s)).
        """
        scale = self._scale()
        below, above = functional.softplus(output / scale), functional.softplus((output - 1.0) / scale)
        return (scale * (below - above)).clamp(0.0, 1.0)  # rounding may leave the range slightly

    def nats(self, output: Tensor, images: Tensor) -> Tensor:
        """Return -log P(x | z) of the 8-bit pixels x = round(255 images), (n,).

        With a and b the upper and lower edge of a bin in units of the scale from the location, its probability is
        sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)). The logarithm of the product loses nothing,
        however far off the location or small the scale; its last factor depends only on the scale.
        """
        per_level = 1.0 / (_TOP * self._scale())  # width of a bin in units of the scale
        pixels = (_TOP * images).round()
        distance = pixels - _TOP * output
        upper = functional.logsigmoid((distance + 0.5) * per_level).masked_fill(pixels >= _TOP, 0.0)
        lower = functional.logsigmoid((0.5 - distance) * per_level).masked_fill(pixels <= 0, 0.0)
        inside = (pixels > 0) & (pixels < _TOP)
        within = inside * torch.log(-torch.expm1(-per_level))
        return -(upper + lower + within).flatten(1).sum(dim=1)

    def _scale(self) -> Tensor:
        return torch.exp(self.log_scale).view(self.image_shape)


def build(name: Name, image_shape: Sequence[int]) -> Likelihood:
    """Return a freshly initialised observation model for images of this shape."""
    return Bernoulli() if name == "bernoulli" else DiscretizedLogistic(image_shape)
