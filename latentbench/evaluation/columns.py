"""The columns of the comparisons: what each means, which way it is better, and whether it has an interval.

This is the only place that says so: the stages order their tables by it, and the tools explain and judge scores by it.
It imports only the standard library, so that looking up a sentence is quick.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: of the column; the ends of its interval are `<name>_lo` and `<name>_hi`.
        sentence: what it means, without which way is better.
        better: which values are better; None if neither are, or if the best is in between.
        interval: whether it has a 95% interval.
        kind: a score says how good a row is; a fact is a size, a count or a choice that comes with it; a word is text.
    """

    name: str
    sentence: str
    better: Literal["higher", "lower"] | None
    interval: bool = False
    kind: Literal["score", "fact", "word"] = "score"

    @property
    def meaning(self) -> str:
        """The sentence, and which way is better if one is."""
        return f"{self.sentence.removesuffix('.')}; {self.better} is better." if self.better else self.sentence


_BITS = Column(
    "bits_per_dim",
    "Bits per pixel that an image takes, at most: the bound on the likelihood of test images.",
    "lower",
    interval=True,
)

# Each in the order of its table.
REPRESENTATIONS = (
    Column("dims", "How many numbers represent an image.", None, kind="fact"),
    Column("bytes_per_image", "Size of an image in this representation, in bytes.", None, kind="fact"),
    Column(
        "model_bytes",
        "Size of the fitted model's file, in bytes; PCA's holds all components, in float64.",
        None,
        kind="fact",
    ),
    Column("knn_k", "How many neighbours the kNN classifier uses.", None, kind="fact"),
    Column(
        "knn_leave_one_out",
        "Accuracy of kNN on each train image by the others; k and weights were chosen by it, and rows may be too.",
        "higher",
    ),
    Column("knn_accuracy", "Share of the test images that kNN gets right.", "higher", interval=True),
    Column(
        "knn_minus_raw",
        "Accuracy of kNN minus that on raw pixels of the same images; the interval of a real difference excludes zero.",
        "higher",
        interval=True,
    ),
    Column(
        "macro_f1",
        "Mean over the classes of the harmonic mean of precision and recall on the test images.",
        "higher",
    ),
    Column(
        "linear_probe",
        "Accuracy on the test images of a linear classifier on the representations.",
        "higher",
        interval=True,
    ),
    Column(
        "linear_probe_minus_raw",
        "Accuracy of the linear classifier minus that on raw pixels of the same images.",
        "higher",
        interval=True,
    ),
    Column(
        "trustworthiness",
        "How far the nearest images in the representation are also near in pixels, at most 1.",
        "higher",
    ),
    Column(
        "continuity",
        "How far the nearest images in pixels are also near in the representation, at most 1.",
        "higher",
    ),
    Column(
        "q_nx",
        "Share of the nearest images in pixels that are among the nearest in the representation, of 15 each.",
        "higher",
    ),
    Column(
        "auc_r_nx",
        "Share of nearest images kept, beyond chance, over neighbourhoods of all sizes; small ones count most.",
        "higher",
        interval=True,
    ),
    Column(
        "spearman",
        "Rank correlation of the distances between images in pixels and in the representation, at most 1.",
        "higher",
        interval=True,
    ),
    Column(
        "stress",
        "Error of the distances in the representation, at their best scale, as a share of those in pixels.",
        "lower",
        interval=True,
    ),
    Column("mse", "Mean squared error per pixel of the rebuilt test images, on the scale from 0 to 1.", "lower"),
    Column("psnr", "Peak signal-to-noise ratio of the rebuilt test images, in decibels.", "higher"),
    Column("ssim", "Structural similarity of the rebuilt test images to the originals, at most 1.", "higher"),
    Column(
        "knn_weights",
        "Whether neighbours vote alike (uniform) or by the inverse of their distance (distance).",
        None,
        kind="word",
    ),
)
GENERATORS = (
    Column("n", "How many images are judged, against as many held-out test images.", None, kind="fact"),
    Column(
        "frechet",
        "Fréchet distance of the images to test images in the classifier's features.",
        "lower",
        interval=True,
    ),
    Column(
        "kernel_distance",
        "Kernel distance of the images to test images in the same features, which does not depend on n.",
        "lower",
        interval=True,
    ),
    Column(
        "density",
        "How typical the images are: about 1 for real ones, 0 for images far from any, above 1 where typical ones are "
        "drawn too often.",
        None,
        interval=True,
    ),
    Column(
        "coverage",
        "Share of the test images that have a generated one nearby, low where kinds are missing.",
        "higher",
        interval=True,
    ),
    Column(
        "sharpness",
        "Power at high spatial frequencies as a share of the test images'; far below 1 is blur.",
        None,
        interval=True,
    ),
    Column(
        "confident_share",
        "Share of the images for which the classifier gives one class more than 80%.",
        None,
        interval=True,
    ),
    Column(
        "cas", "Accuracy on test images of a linear classifier trained on these images alone.", "higher", interval=True
    ),
    Column("classes_present", "How many classes the classifier sees among the images.", None),
    Column(
        "rarest_class_share",
        "Share of the images that belong to the rarest class; with ten classes, a tenth would be balanced.",
        None,
    ),
    Column(
        "nearest_train",
        "Distance to the nearest train image as a share of the test images'; far below 1 are copies.",
        None,
        interval=True,
    ),
    Column("calls", "How often the network is called for an image.", None, kind="fact"),
    _BITS,
    Column(
        "classifier",
        "Hash of the classifier that judged, or of the components after `pca:`; compare distances under one hash only.",
        None,
        kind="word",
    ),
)
LIKELIHOODS = (
    Column("n", "How many test images are judged.", None, kind="fact"),
    Column(
        "reconstruction_nats",
        "What an image costs given its latents, in nats: the first part of the bound.",
        None,
    ),
    Column(
        "kl_nats",
        "What the latents of an image cost, in nats: the KL divergence from the prior, the second part.",
        None,
    ),
    Column("active_units", "How many latents the encoder uses.", None),
    Column(
        "elbo_nats",
        "The evidence lower bound in nats for each image, only for a proper likelihood of pixels.",
        "higher",
    ),
    Column("n_importance", "How many images the tighter bound is computed for.", None, kind="fact"),
    _BITS,
    Column(
        "bits_per_dim_importance",
        "The tighter importance-weighted bound on the same, on the first images alone.",
        "lower",
        interval=True,
    ),
    Column(
        "importance_gain",
        "How much tighter that bound is on the same images, in bits for each pixel.",
        None,
        interval=True,
    ),
    Column(
        "likelihood",
        "How pixels are scored; bernoulli on grey pixels is a loss, and bounds nothing.",
        None,
        kind="word",
    ),
)
COMPARISONS: Mapping[str, tuple[Column, ...]] = {
    "representations": REPRESENTATIONS,
    "generators": GENERATORS,
    "likelihoods": LIKELIHOODS,
}
# How well representations keep the arrangement of images in pixels: people see it as a separate table.
KEPT = ("trustworthiness", "continuity", "q_nx", "auc_r_nx", "spearman", "stress")
# What a network's stage writes about how its training ended.
TRAINING = (
    Column(
        "best_epoch",
        "The epoch with the lowest loss on validation images, whose weights are kept.",
        None,
        kind="fact",
    ),
    Column("epochs", "How many epochs it was trained for.", None, kind="fact"),
    Column(
        "validation_loss",
        "Loss on validation images: squared error of autoencoders, nats of VAEs, cross-entropy of the classifier.",
        "lower",
    ),
    Column("validation_error", "Share of the validation images that the classifier gets wrong.", "lower"),
    Column(
        "validation_reconstruction",
        "The first part of the loss on validation images: nats of VAEs, squared error of a VQ-VAE.",
        "lower",
    ),
    Column("validation_kl", "The second part of a VAE's loss, the KL divergence, in nats for each image.", None),
    Column("validation_total_correlation", "Total correlation of a VAE's latents, in nats, if it is weighted.", None),
    Column("validation_commitment", "Mean squared distance between a VQ-VAE's encoder output and its codes.", None),
    Column("codes_used_share", "Share of a VQ-VAE's codes that at least one train image uses.", None),
    Column("code_perplexity", "How many equally used codes would carry as much as a VQ-VAE's do.", None),
    Column("bits_per_image", "How many bits the codes of an image take in a VQ-VAE.", None, kind="fact"),
)
# By name; a column of several tables means the same in each, except for the number of images.
BY_NAME: Mapping[str, Column] = {
    column.name: column for columns in (*COMPARISONS.values(), TRAINING) for column in columns
}


def names(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the names of columns, in their order."""
    return tuple(column.name for column in columns)


def meanings(columns: Sequence[Column]) -> dict[str, str]:
    """Return the sentence of each column by its name."""
    return {column.name: column.meaning for column in columns}


def better(name: str) -> Literal["higher", "lower"] | None:
    """Return which values of a score are better; None if neither are, or if the score is unknown."""
    return BY_NAME[name].better if name in BY_NAME else None
