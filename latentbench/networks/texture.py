"""How much fine detail an image has, and where: a squared error of pixels makes a network smooth it away."""

import torch
from torch import Tensor
from torch.nn import functional

_BLUR, _EDGE, _SPOT = [1 / 4, 1 / 2, 1 / 4], [-1 / 2, 0.0, 1 / 2], [-1 / 2, 1.0, -1 / 2]  # L3, E3 and S3 of Laws
_DETAILS = [(_SPOT, _SPOT), (_SPOT, _BLUR), (_BLUR, _SPOT), (_EDGE, _EDGE), (_SPOT, _EDGE), (_EDGE, _SPOT)]
_WINDOW = 4  # pixels
_SMALLEST = 1e-4  # energy, so that the root has a bounded slope


def energies(images: Tensor) -> Tensor:
    """Map images (n, c, h, w) to the amplitude of six kinds of detail around every second pixel.

    Each channel has amplitudes of its own: (n, 6 * channels, h, w).

    These are Laws' texture energy measures (Laws 1980) of all pairs of his three-tap filters that respond neither
    to flat nor to evenly sloping areas, each filter scaled to norm 1.
    """
    filters = torch.stack([torch.outer(torch.tensor(down), torch.tensor(across)) for down, across in _DETAILS])
    filters = (filters / filters.flatten(1).norm(dim=1)[:, None, None]).to(images)
    channels = images.shape[1]
    answers = functional.conv2d(images, filters[:, None].repeat(channels, 1, 1, 1), padding=1, groups=channels)
    energy = functional.avg_pool2d(answers.square(), _WINDOW, stride=2, padding=1)
    return (energy + _SMALLEST).sqrt()


def loss(images: Tensor, originals: Tensor) -> Tensor:
    """Return the mean squared difference of the energies of two batches of images, both (n, c, h, w).

    Detail that is as strong as the original's costs nothing here, wherever exactly its lines lie.
    """
    return functional.mse_loss(energies(images), energies(originals))
