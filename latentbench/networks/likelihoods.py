"""How a VAE's decoder scores pixels: observation models p(x | z) that share one interface."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

Name: TypeAlias = Literal["bernoulli", "discretized_logistic", "autoregressive_logistic"]

_TOP = 255  # the highest value of an 8-bit pixel
_INITIAL_LOG_SCALE = -3.0  # a standard deviation of 0.09 on [0, 1], about the error that training ends with
# Of the log of a scale that a network predicts: from a tenth of a grey level, which is as good as none, to far beyond
# all levels. Unbounded, the scale of an empty corner would shrink to zero.
_LEAST_LOG_SCALE, _GREATEST_LOG_SCALE = -8.0, 2.0


class Likelihood(nn.Module, ABC):
    """An observation model: how a decoder's raw output (n, c, h, w) scores images.

    Attributes:
        name: of the model.
        proper_on_grey: whether `nats` is a negative log-likelihood on grey pixels too, and not only on black and white.
        n_outputs: how many numbers a decoder gives for each value of an image.
    """

    name: Name
    proper_on_grey: bool
    n_outputs: int = 1

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """Map a decoder's output (n, n_outputs * c, h, w) to images (n, c, h, w) in [0, 1]."""

    @abstractmethod
    def nats(self, output: Tensor, images: Tensor) -> Tensor:
        """Score images (n, c, h, w) in [0, 1] under `output`, as `mean` takes it: (n,) nats, summed over pixels."""

    def sample(self, output: Tensor, uniform: Tensor) -> Tensor:  # noqa: ARG002  # those that draw pixels use it
        """Map a decoder's output (n, n_outputs * c, h, w) to images (n, c, h, w) in [0, 1] to be looked at.

        Where pixels are independent given the latents, that is the mean: a draw would be the same with grain on top.

        Args:
            output: of the decoder.
            uniform: (n, c, h, w), noise from [0, 1).
        """
        return self.mean(output)


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
        """Map locations (n, c, h, w) to the expected pixels in [0, 1], as if levels were continuous."""
        return _mean_of_logistic(output, self._scale())

    def nats(self, output: Tensor, images: Tensor) -> Tensor:
        """Return -log P(x | z) of the 8-bit pixels x = round(255 images), (n,).

        With a and b the upper and lower edge of a bin in units of the scale from the location, its probability is
        sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)). The logarithm of the product loses nothing,
        however far off the location or small the scale; its last factor depends only on the scale.
        """
        return _nats_of_bins(output, self._scale(), images)

    def _scale(self) -> Tensor:
        return torch.exp(self.log_scale).view(self.image_shape)


class AutoregressiveLogistic(Likelihood):
    """Discretised logistics again, but a pixel is expected near those to its left and above it.

    The decoder gives four numbers for each value of an image: a guess g, the log of the scale as an offset to
    `log_scale`, and two logits. A softmax of these and of 0 gives the weights of the left pixel, of the one above, and
    of the guess. The location of a pixel is their weighted mean,

        a x_left + b x_above + (1 - a - b) g,

    where pixels beyond the border are 0. So local texture needs no latents, which are left with what pixels nearby do
    not tell: a variational lossy autoencoder (Chen et al. 2017), with the simplest of autoregressive decoders. Pixels
    are scored in reading order, and the product is an exact likelihood. Channels do not see each other.

    Args:
        image_shape: channels, height and width of an image; `log_scale` is as that of `DiscretizedLogistic`.
    """

    name = "autoregressive_logistic"
    proper_on_grey = True
    n_outputs = 4

    def __init__(self, image_shape: Sequence[int]) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.log_scale = nn.Parameter(torch.full((math.prod(image_shape),), _INITIAL_LOG_SCALE))

    def mean(self, output: Tensor) -> Tensor:
        """Return images (n, c, h, w) in [0, 1], each pixel the one expected where its neighbours are as expected.

        Exact but for edges: a pixel that is clipped to black or white is not linear in its neighbours.
        """
        parts = self._split(output)

        def expected(images: Tensor) -> Tensor:
            return _mean_of_logistic(_location(parts, images), parts.scale)

        return self._settled(expected, parts)

    def nats(self, output: Tensor, images: Tensor) -> Tensor:
        """Return -log P(x | z) of the 8-bit pixels x = round(255 images), (n,): their sum, each given those before."""
        parts = self._split(output)
        rounded = (_TOP * images).round() / _TOP
        return _nats_of_bins(_location(parts, rounded), parts.scale, images)

    def sample(self, output: Tensor, uniform: Tensor) -> Tensor:
        """Draw images (n, c, h, w) in [0, 1], of 256 levels each, by turning uniform noise (n, c, h, w) into pixels."""
        parts = self._split(output)
        noise = parts.scale * torch.logit(uniform, eps=1e-6)

        def drawn(images: Tensor) -> Tensor:
            return (_TOP * (_location(parts, images) + noise)).round().clamp(0, _TOP) / _TOP

        return self._settled(drawn, parts)

    def _split(self, output: Tensor) -> "_Neighbourhood":
        guess, offset, left, above = output.chunk(self.n_outputs, dim=1)
        left, above, own = torch.stack([left, above, torch.zeros_like(left)]).softmax(dim=0)
        log_scale = (self.log_scale.view(self.image_shape) + offset).clamp(_LEAST_LOG_SCALE, _GREATEST_LOG_SCALE)
        return _Neighbourhood(own * guess, left, above, torch.exp(log_scale))

    def _settled(self, update: Callable[[Tensor], Tensor], parts: "_Neighbourhood") -> Tensor:
        """Return the images that `update`, which computes every pixel from its two neighbours, leaves as they are.

        All pixels are computed at once, again and again (Jacobi iteration, Song et al. 2021). The one in the corner is
        right after the first round, and each round adds a diagonal.
        """
        images = torch.zeros_like(parts.own)
        for _ in range(sum(self.image_shape[1:]) - 1):
            images = update(images)
        return images


class _Neighbourhood(NamedTuple):
    """What a decoder says about each pixel, (n, c, h, w) each.

    Attributes:
        own: its guess times that guess's weight.
        left, above: the weights of these neighbours.
        scale: of the logistic variable.
    """

    own: Tensor
    left: Tensor
    above: Tensor
    scale: Tensor


def _location(parts: _Neighbourhood, images: Tensor) -> Tensor:
    """Return where each pixel of images is expected, given those to its left and above it; (n, c, h, w) all."""
    left, above = functional.pad(images, (1, -1)), functional.pad(images, (0, 0, 1, -1))
    return parts.own + parts.left * left + parts.above * above


def _mean_of_logistic(location: Tensor, scale: Tensor) -> Tensor:
    """Return the expected pixel in [0, 1], as if levels were continuous, of the shape of `location`.

    Values beyond an edge count as the edge, so that with the location m and the scale s this is the integral over
    [0, 1] of P(X > x) = sigmoid((m - x) / s), which is s (softplus(m / s) - softplus((m - 1) / s)).
    """
    below, above = functional.softplus(location / scale), functional.softplus((location - 1.0) / scale)
    return (scale * (below - above)).clamp(0.0, 1.0)  # rounding may leave the range slightly


def _nats_of_bins(location: Tensor, scale: Tensor, images: Tensor) -> Tensor:
    """Return what the bins of 8-bit pixels cost under logistic variables, (n,) nats, summed over pixels.

    location and images (n, c, h, w), scale the same or without n, all on the scale [0, 1]
    """
    per_level = 1.0 / (_TOP * scale)  # width of a bin in units of the scale
    pixels = (_TOP * images).round()
    distance = pixels - _TOP * location
    upper = functional.logsigmoid((distance + 0.5) * per_level).masked_fill(pixels >= _TOP, 0.0)
    lower = functional.logsigmoid((0.5 - distance) * per_level).masked_fill(pixels <= 0, 0.0)
    inside = (pixels > 0) & (pixels < _TOP)
    within = inside * torch.log(-torch.expm1(-per_level))
    return -(upper + lower + within).flatten(1).sum(dim=1)


_MODELS: dict[Name, Callable[[Sequence[int]], Likelihood]] = {
    "bernoulli": lambda image_shape: Bernoulli(),  # noqa: ARG005  # it has a scale for no pixel
    "discretized_logistic": DiscretizedLogistic,
    "autoregressive_logistic": AutoregressiveLogistic,
}


def build(name: Name, image_shape: Sequence[int]) -> Likelihood:
    """Return a freshly initialised observation model for images of this shape."""
    return _MODELS[name](image_shape)
