"""The supervised reference network: the ceiling of the comparison, and the judge of generated images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Classifier(nn.Module):
    """A small convolutional classifier whose penultimate layer serves as image features.

    Args:
        image_shape: channels, height and width of an image; any size.
        n_classes: number of classes.
        feature_dim: width of the penultimate layer.
    """

    def __init__(self, image_shape: Sequence[int], n_classes: int, feature_dim: int = 128) -> None:
        super().__init__()
        channels, height, width = image_shape
        rows, columns = -(-height // 4), -(-width // 4)
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(32, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Flatten(),
        )
        self.to_features = nn.Sequential(nn.Linear(64 * rows * columns, feature_dim), nn.ReLU())
        self.dropout = nn.Dropout(0.25)
        self.to_logits = nn.Linear(feature_dim, n_classes)

    def features(self, images: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to features (n, feature_dim), at least 0."""
        return torch.as_tensor(self.to_features(self.convolutions(images)))

    def logits(self, features: Tensor) -> Tensor:
        """Map features (n, feature_dim) to logits (n, n_classes)."""
        return torch.as_tensor(self.to_logits(self.dropout(features)))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to logits (n, n_classes)."""
        return self.logits(self.features(images))
