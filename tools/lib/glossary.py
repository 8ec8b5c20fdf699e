"""What each column of a table and each figure means, in one sentence, for pages in HTML.

The columns of the comparisons and of trainings are in latentbench/evaluation/columns.py, all others here.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from latentbench.evaluation import columns
from latentbench.neighbors import knn
from tools.lib import seed_tables
from tools.lib.pages import PageError, Picture

_ROW = "The method that represents or generates images."
_K, _WEIGHTS = (columns.BY_NAME[name].meaning for name in ("knn_k", "knn_weights"))
_LEAVE_ONE_OUT = (
    f"Accuracy of kNN on {knn.ENOUGH:,} train images, the same in each line, each by all others; k and weights were "
    "chosen by it."
)
_KERNEL = "Distance of the samples to validation images in the classifier's features, lower is better."
_INTERPOLATION = {
    "share": "Share of the way from one test image to another.",
    "straight_confidence": "The classifier's mean probability of the class that it chooses, on straight paths.",
    "straight_class_of_an_end": "Share of images on straight paths that are classified as one of the two ends.",
    "spherical_confidence": "The first on paths around the centre.",
    "spherical_class_of_an_end": "The second on paths around the centre.",
}

# By the table's name, which is that of its file below metrics/ without its ending; "*" stands for any row.
_COLUMNS: dict[str, dict[str, str]] = {
    "evaluate/representations": {"row": _ROW, **columns.meanings(columns.REPRESENTATIONS)},
    "evaluate/generators": {"row": _ROW, **columns.meanings(columns.GENERATORS)},
    "evaluate/likelihoods": {"row": _ROW, **columns.meanings(columns.LIKELIHOODS)},
    "benchmarks/diffusion": {
        "name": "One of our rows, or a sampler on the U-Net of diffusers that was trained for as long.",
        "calls": "Network calls for each sample.",
        "seconds": "For 1,000 samples, on the machine of the benchmark.",
        "frechet": "Fréchet distance of 1,000 samples to as many test images, lower is better.",
        "kernel_distance": "Kernel distance of the same samples, lower is better.",
    },
    "evaluate/inpainting": {
        "row": "What fills in the lower halves; mean is the mean train image.",
        "n": "How many test images are filled in.",
        "mse": "Squared error per pixel of that half.",
        "mse_of_mean": "The same for the mean of a model's fillings of an image.",
        "diversity": "How much a model's fillings of an image differ from each other; 0 if they are all the same.",
    },
    "evaluate/neighborhoods": {
        "row": _ROW,
        "k": "Size of the neighbourhoods, in test images.",
        "trustworthiness": "How far the k nearest images in the representation are near in pixels too; 1 is perfect.",
        "continuity": "How far the k nearest images in pixels are near in the representation too; 1 is perfect.",
        "q_nx": "Share of the k nearest images in pixels that are among the k nearest in the representation.",
    },
    "evaluate/classification/*": {
        "class": "The class, and the means over classes: macro counts all alike, weighted counts them by their images.",
        "precision": "Share of the images classified as this class that belong to it.",
        "recall": "Share of the images of this class that are classified as it.",
        "f1": "Harmonic mean of the two.",
        "support": "How many test images there are.",
    },
    "confusions": {
        "class": "The class of the images.",
        "taken for": "The class that they are mistaken for.",
        "share": "Share of the images of the class that are mistaken for the other one.",
    },
    "pca/knn": {
        "components": "How many of the first components are used; all of them together are the pixels themselves.",
        "k": _K,
        "weights": _WEIGHTS,
        "leave_one_out": _LEAVE_ONE_OUT,
        "test": "Accuracy on the test images.",
    },
    "pca/reconstruction": {
        "components": "From how many of the first components the test images are rebuilt.",
        "mse": "Mean squared error per pixel, on the scale from 0 to 1.",
        "mse_standardized": "The same, with each pixel scaled to unit variance before PCA.",
        "mse_added": "What standardising adds to the error on the same images; zero would mean that it has no effect.",
        "sharpness": "Power of the rebuilt images at high frequencies as a share of the originals'; 1 is as sharp.",
    },
    "pca/classes": {
        "component": "The component, in order of decreasing variance.",
        "class_share": "Share of its variance over the test images that their classes explain.",
    },
    "isomap/search": {
        "n_neighbors": "Neighbours in the graph along which distances are measured.",
        "n_components": "Dimensions of the embedding.",
        "k": _K,
        "weights": _WEIGHTS,
        "leave_one_out": _LEAVE_ONE_OUT,
    },
    "isomap/s_curve": {
        "claim": "Which condition varies: neighbours in the graph, noise, or density from one end to the other.",
        "value": "Its value: a number of neighbours, the standard deviation of the noise, or the ratio of densities.",
        "n": "How many sheets of 1,000 points are drawn; scores are means over them.",
        "isomap": "Correlation of Isomap's best axis with the true place along the bend; 1 is fully unrolled.",
        "pca": "The same for PCA's best axis.",
        "isomap_residual": "Share of the variance of true distances that Isomap's do not explain; 0 is perfect.",
        "pca_residual": "The same for PCA's.",
    },
    "latent_explore/*/latents": {
        "rank": "Its rank by KL divergence, or by variance if there is none.",
        "latent": "Which latent, counted from 0.",
        "kl": "Mean KL divergence of its posterior from the prior, in nats.",
        "variance": "Variance of its means over the train images.",
    },
    "latent_explore/*/interpolation": _INTERPOLATION,
    "interpolation": {"row": "The autoencoder or VAE.", **_INTERPOLATION},
    "latent_explore/*/arithmetic": {
        "image": "The class of the test images.",
        "minus": "The class whose mean is subtracted from their latents.",
        "plus": "The class whose mean is added.",
        "strength": "How many times the difference of the two means is added.",
        "called_plus": "Share of the images that the classifier assigns to the added class.",
        "confidence": "The classifier's mean probability of the class that it chooses.",
    },
    "diffusion_explore/*/samplers": {
        "sampler": "The rule by which steps are taken from noise to an image.",
        "calls": "How often the network is called for an image.",
        "kernel_distance": _KERNEL,
    },
    "diffusion_explore/*/steps": {
        "steps": "Whether the steps between noise levels are equal, or grow with the noise.",
        "first_step": "Size of the first step, at the most noise.",
        "last_step": "Size of the last step between noise levels.",
        "kernel_distance": _KERNEL,
    },
    "diffusion_explore/*/spectrum": {
        "level": "Noise level at which the model estimates the image.",
        "low": "Power of the estimates below 0.1 cycles per pixel, as a share of the finished samples'.",
        "middle": "The same from 0.1 to 0.25 cycles per pixel.",
        "high": "The same above 0.25 cycles per pixel.",
    },
    "diffusion_explore/*/variations": {
        "strength": "How far into the noise schedule an image is taken and brought back, as a share.",
        "class_kept": "Share of the images that keep their class, according to the classifier.",
        "mse": "Mean squared change per pixel.",
    },
    "diffusion_explore/*/blends": {
        "share": "Share of the way from one test image to another.",
        "confidence": "The classifier's mean probability of the class that it assigns to the blend.",
        "class_of_an_end": "Share of the blends that are classified as one of the two images.",
    },
    "*/densities": {
        "density": "What was fitted to the latents of the train images; for a VAE, to the means of its posteriors.",
        "components": "How many Gaussians it has.",
        "steps": "Steps of its fit, which ends when the validation images no longer become more likely.",
        "train_nats": "Mean log density of the latents that it was fitted to, in nats.",
        "validation_nats": "The same for the latents of the validation images, by which the number is chosen.",
    },
    "*/loss": {
        "epoch": "Pass over the train images.",
        "train_loss": "Mean loss on the train images during the epoch.",
        "validation_loss": "Loss on the validation images after it, by which the epoch is chosen.",
        "train_error": "Share of the train images that the classifier got wrong during the epoch.",
        "validation_error": "Share of the validation images that it gets wrong after it.",
        "train_reconstruction": "The first part of the loss during the epoch: nats per image, or a squared error.",
        "train_kl": "The second part, the KL divergence, in nats per image.",
        "train_commitment": "Mean squared distance of the encoder's output from its codes during the epoch.",
        "train_total_correlation": "Total correlation of latents during the epoch, in nats, estimated from batches.",
        "validation_reconstruction": "The first part on the validation images.",
        "validation_kl": "The second part on the validation images.",
        "validation_commitment": "The same distance on the validation images.",
        "validation_total_correlation": "Total correlation on the validation images, from larger batches.",
    },
    "training": {"row": "The network.", **columns.meanings(columns.TRAINING)},
    "latent_explore": {
        "row": "The autoencoder or VAE.",
        "draws_confident_share": "Share of draws from the prior that the classifier is more than 80% sure of.",
        "interpolation_confidence": "The classifier's mean probability of the class it chooses, along straight paths.",
        "interpolation_confidence_spherical": "The same along paths around the centre.",
        "active_units": "How many latents the encoder uses.",
        "aggregate_frechet": "Fréchet distance between the pooled posteriors of the map's train images and the prior.",
        "aggregate_frechet_floor": "The same for as many draws of the prior itself.",
        "aggregate_kernel": "Kernel distance between the pooled posteriors of 5,000 of them and the prior.",
        "aggregate_kernel_floor": "The same for as many draws of the prior itself.",
        "draws_distance": "How many times farther draws are from the nearest train latent than test images are.",
        "holes_confident_share": "Share of the farthest tenth of draws that the classifier is sure of.",
        "kl_nats": "Mean KL divergence of all latents of a train image from the prior, in nats.",
        "linear_probe": "Accuracy on the test images of a linear classifier on the latents.",
        "neighbors_map_trustworthiness": "How far neighbours in the neighbour map are neighbours in the latents.",
        "pca_map_trustworthiness": "The same for the map of principal components.",
        "arithmetic_called_plus": "Share of images with a difference added that are classified as the added class.",
        "silhouette": "How far apart the classes lie in the latents; at most 1.",
    },
    "diffusion_explore": {
        "row": "The diffusion model.",
        "half_low_step": "Step from which its estimates have half the power at low frequencies that samples have.",
        "half_middle_step": "The same for middle frequencies.",
        "half_high_step": "The same for high frequencies.",
        "inversion_mse_ddim": "Error per pixel of images drawn from the noise that DDIM turned them into.",
        "inversion_mse_heun": "The same with Heun's rule.",
        "inversion_mse_space": "Error of encoding into the model's space and decoding alone.",
    },
    "reference/reference": {
        "what": "A figure that the report prints.",
        "the report": "What the report says, with the choices it made.",
        "ours": "The same method without its mistakes, with the 95% interval over test images and its choices.",
        "why it differs": "What was wrong in the report, or what is different here.",
    },
    "seeds/seeds": {
        "row": _ROW,
        **{
            name: f"Mean over seeds, with Student's 95% interval over them: {columns.BY_NAME[name].meaning}"
            for name in seed_tables.SHOWN
        },
    },
    "sweeps/*": {
        **{name: column.meaning for name, column in columns.BY_NAME.items()},
        "latent_dim": "Size of the latent space.",
        "beta": "Weight of the KL divergence in the VAE's loss; 1 is the evidence lower bound.",
    },
    "claims/claims": {
        "about": "The method that the claim is about.",
        "claim": "What the report claims, in our words.",
        "verdict": "What the numbers say: in part if some comparisons hold and others do not.",
        "numbers": "The numbers behind the verdict: after each comparison, whether it holds.",
        "source": "The files that they come from.",
        "figure": "The figure that shows it, or what the claim is about.",
    },
    "costs": {
        "row": _ROW,
        "fit_s": "Seconds to fit it to the train images; networks: the whole stage, including the samples of a "
        "generator; densities: including the network whose latents they are fitted to.",
        "stage_s": "Seconds of the whole stage, including what it judges and draws.",
        "peak_memory_mib": "Peak memory of the stage, in MiB.",
        "transform_s_per_1000": "Seconds to represent 1,000 images.",
        "knn_s_per_1000": "Seconds to classify 1,000 represented images by their neighbours among the train images.",
        "sample_s_per_1000": "Seconds to generate 1,000 images.",
    },
}

# Figures by their path below metrics/; {row} is the folder's name.
_FIGURES = {
    "benchmarks/diffusion.png": "Distance over sampling time, for our diffusion models and for a U-Net of diffusers.",
    "preprocess/examples.png": "Train images of each class.",
    "pca/variance.png": "Share of the variance that the first components explain, and the numbers chosen by two rules.",
    "pca/knn.png": "Accuracy of kNN by the number of components: a few dozen are enough.",
    "pca/components.png": "The first components as images: red and blue are opposite directions.",
    "pca/reconstructions.png": "Test images rebuilt from few components and from many.",
    "isomap/scatter.png": "The train images in the first two dimensions of Isomap, coloured by class.",
    "*/scatter.png": "The train images in the first two numbers of {row}, coloured by class.",
    "isomap/s_curve.png": "S-curves under each condition, as embedded by Isomap and PCA.",
    "latent_explore/*/maps.png": "Three maps of the train images in the latents of {row}.",
    "latent_explore/*/prior.png": "Images that {row} decodes from draws of the prior.",
    "latent_explore/*/holes.png": "Ordinary draws and draws far from all train latents of {row}.",
    "latent_explore/*/plane.png": "The plane of most variance of the latents of {row}, decoded; for two latents, all.",
    "latent_explore/*/traversals.png": "One latent of {row} at a time, from low to high, the most important first.",
    "latent_explore/*/interpolation.png": "Paths between test images through the latents of {row}.",
    "latent_explore/*/arithmetic.png": "Differences of class means added to test images in the latents of {row}.",
    "diffusion_explore/*/forward.png": "Noise covers test images, from left to right: the forward process of {row}.",
    "diffusion_explore/*/reverse.png": "From noise to samples of {row}, and the estimate of the image at each step.",
    "diffusion_explore/*/samplers.png": "Samples of {row} from the same noise, by sampler and number of calls.",
    "diffusion_explore/*/nearest.png": "Samples of {row} above the train images that they are nearest to.",
    "diffusion_explore/*/inpainted.png": "Test images, the part that is known, and fillings by {row}.",
    "diffusion_explore/*/varied.png": "Test images, and variations of them by {row} at increasing strength.",
    "diffusion_explore/*/inverted.png": "Test images, and what {row} draws from the noise that they were turned into.",
    "diffusion_explore/*/blends.png": "Paths between test images through the noise that {row} turns them into.",
    "evaluate/knn_accuracy.png": "Accuracy of each representation with its interval over test images.",
    "evaluate/frechet.png": "Fréchet distance of each generator's images with its interval: lower is better.",
    "evaluate/reconstructions.png": "Test images, as each method rebuilds them.",
    "evaluate/samples.png": "Real images and the first samples of each generator, not selected.",
    "evaluate/samples/*.png": "Sixty samples of {name}, not selected.",
    "sweeps/*_trade.png": "The trade-off of the sweep {name}: no run beats those on the line in both scores.",
    "sweeps/*.png": "Scores over the params of the sweep {name}, with intervals where there are any.",
}

# The columns that the report shows first in tables that have many.
_FIRST = {
    "evaluate/representations": (
        "row",
        "dims",
        "knn_accuracy",
        "knn_minus_raw",
        "linear_probe",
        "trustworthiness",
        "mse",
        "ssim",
    ),
    "evaluate/generators": (
        "row",
        "frechet",
        "kernel_distance",
        "density",
        "coverage",
        "sharpness",
        "cas",
        "nearest_train",
    ),
    "evaluate/likelihoods": (
        "row",
        "bits_per_dim",
        "bits_per_dim_importance",
        "reconstruction_nats",
        "kl_nats",
        "elbo_nats",
        "active_units",
        "likelihood",
    ),
}

# Tables that are not shown as they are, and why.
NOT_SHOWN = {
    "evaluate/confusion/*": "a line for each image; shown as shares",
    "evaluate/kl_per_latent": "a line for each latent; drawn by 'make plots'",
    "evaluate/coranking": "each size of a neighbourhood of each row; drawn by 'make plots'",
    "evaluate/knn_choice": "each k of each row; drawn by 'make plots'",
    "claims/claims": "lacks the claims that times decide; the report has those too",
    "pca/variance": "a line for each component; drawn in variance.png",
    "reference/reference": "shown with its notes in the same cells",
    "seeds/*": "every score, and those of each seed; the report shows means of the main ones",
}


def of_columns(table: str) -> dict[str, str]:
    """Return a sentence for each column that a table may have.

    Args:
        table: its file below metrics/ without the ending, such as "evaluate/generators".

    Raises:
        PageError: nothing is known of this table.
    """
    found = _first(table, _COLUMNS)
    if found is None:
        raise PageError(f"tools/lib/glossary.py does not explain the table {table}; add a sentence for each column")
    return _COLUMNS[found]


def first(table: str) -> Sequence[str]:
    """Return the columns of a table to show first; empty where they are simply its first ones."""
    return _FIRST.get(table, ())


def columns_by_table() -> dict[str, dict[str, str]]:
    """Return the sentences of columns by the table; "*" in its name stands for any row."""
    return dict(_COLUMNS)


def figures_by_path() -> dict[str, str]:
    """Return the sentence of each figure by its path below metrics/; "*" in it stands for any row."""
    return dict(_FIGURES)


def is_shown(table: str) -> bool:
    """Return whether the report shows a table as it is."""
    return _first(table, NOT_SHOWN) is None


def picture(path: Path, metrics: Path) -> Picture:
    """Return a figure below the folder `metrics` with its sentence.

    Raises:
        PageError: nothing says what it means.
    """
    name = path.relative_to(metrics).as_posix()
    found = _first(name, _FIGURES)
    if found is None:
        raise PageError(f"tools/lib/glossary.py does not explain the figure {name}; add a sentence")
    meaning = _FIGURES[found].format(row=path.parent.name, name=path.stem.removesuffix("_trade"))
    return Picture(path, name.removesuffix(".png").replace("/", ", ").replace("_", " "), meaning)


def _first(name: str, patterns: Iterable[str]) -> str | None:
    return next((pattern for pattern in patterns if fnmatch(name, pattern)), None)
