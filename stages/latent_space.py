"""Explore the latent space of one autoencoder or VAE: its maps, its prior, paths through it, and what lies where."""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latentbench import figures, inference, seeding, threads
from latentbench.core import artifacts
from latentbench.core.errors import InputError
from latentbench.data.dataset import LEVELS, Dataset
from latentbench.evaluation import latents, likelihood, neighborhoods, probe
from latentbench.evaluation.samples import CONFIDENT
from latentbench.methods.base import HasPosterior
from latentbench.neighbors.search import nearest
from latentbench.networks.vaes.base import reparameterise
from latentbench.params.latent_explore import LatentExploreParams
from latentbench.params.project import Project
from latentbench.reduction.pca import PCA
from latentbench.reduction.umap import UMAP
from stages import classifiers, fitted, lifecycle, paths, sizes

_GRID = 10
_N_WAYS = 8
_N_ENDS = 10  # test images of each class that paths start at; the first of them is shown
_N_ADDED = 30  # test images of a class that a difference of classes is added to
_STRENGTHS = (0.5, 1.0, 1.5)  # of the difference
_SPAN = 2.5  # deviations to each side that the plane and the traversals reach
_FINE_GRID = 20  # steps of the plane of two latents
_TAIL = 0.005  # share of the train latents beyond it, on each side
_N_TRAVERSED = 8
_N_DRAWN = 6000  # points of a map
_N_COMPARED = 5000  # test images of the silhouette, and draws of the kernel distance
_NEIGHBORHOOD = 15  # of trustworthiness


class Explorer:
    """One latent space and what is needed to explore it.

    Args:
        row: of the comparison.
        project, params: of the stage.
    """

    def __init__(self, row: str, project: Project, params: LatentExploreParams) -> None:
        self.row, self.seed, self.params = row, project.seed, params
        self.dataset = Dataset(paths.PROCESSED)
        self.method, self.classify = fitted.load(row), classifiers.probabilities(classifiers.load())
        self.train, self.test = (
            torch.tensor(artifacts.read_array(paths.embedding(row, split))) for split in ("train", "test")
        )
        self.mean, self.deviation = self.train.mean(dim=0), self.train.std(dim=0)
        self.classes = [int(label) for label in np.intersect1d(self.dataset.train_labels, self.dataset.test_labels)]
        self.folder = paths.METRICS / "latent_explore" / row
        # The same images for every row, so that two maps can be laid side by side.
        generator = seeding.numpy_generator(self.seed, "latent_explore", "map_points")
        self._shuffled = generator.permutation(len(self.train))
        self.fitted = np.sort(self._shuffled[: params.map_points])

    def order(self) -> dict[str, float]:
        """Write what each latent carries, and how near all of them are to the prior; return the latter.

        KL divergences and draws of the posterior are for the images that the map is fitted on.
        """
        variance = self.train.var(dim=0)
        table = pd.DataFrame({"latent": np.arange(len(variance)), "variance": variance.numpy()})
        found: dict[str, float] = {}
        if isinstance(self.method, HasPosterior):
            means, log_vars = map(torch.from_numpy, self.method.posterior(self.dataset.train_images[self.fitted]))
            table.insert(1, "kl", latents.divergences(means, log_vars))
            noise, prior = (
                torch.randn(means.shape, generator=self._torch_generator(name)) for name in ("posterior", "prior")
            )
            found["kl_nats"] = float(table["kl"].sum())
            found["active_units"] = int((variance > likelihood.ACTIVE).sum())
            for name, draws in (("", reparameterise(means, log_vars, noise)), ("_floor", prior)):
                found[f"aggregate_frechet{name}"] = latents.frechet_to_prior(draws.numpy())
                found[f"aggregate_kernel{name}"] = latents.kernel_to_prior(draws[:_N_COMPARED].numpy())
        self.importance = table.sort_values(self._ordered_by, ascending=False, kind="stable", ignore_index=True)
        self.importance.insert(0, "rank", np.arange(1, len(table) + 1))
        artifacts.write_table(self.folder / "latents.csv", self.importance)
        return found

    def maps(self) -> dict[str, float]:
        """Write and draw the maps; return how well they keep the neighbourhoods of the test latents."""
        dim, name = self.train.shape[1], self.importance["latent"]
        first, second = self.params.dimensions or sorted(
            (self.train.var(dim=0).argsort(descending=True)[:2].tolist() * 2)[:2]  # there may be a single latent
        )
        placed = {"latents": [space[:, [first, second]].numpy() for space in (self.train, self.test)]}
        titles = {"latents": f"latents {first} and {second}"}
        arrays = {
            "fitted_index": self.fitted,
            "order": name.to_numpy(dtype=np.int64),
            "importance": self.importance[self._ordered_by].to_numpy(dtype=np.float32),
            "mean": self.mean.numpy(),
            "deviation": self.deviation.numpy(),
            "dimensions": np.array([first, second], dtype=np.int64),
        }
        if dim > 1:
            placed["pca"] = [self._plane.transform(space.numpy()) for space in (self.train, self.test)]
            variances = self._plane.variances_
            share = variances[:2].sum() / (variances.sum() or 1.0)  # the sum is zero if a VAE uses no latent
            titles["pca"] = f"principal components, {share:.0%} of the variance"
            arrays["components"] = self._plane.components_.astype(np.float32)
            map_neighbors = sizes.at_most(
                "latent_explore.map_neighbors",
                self.params.map_neighbors,
                len(self.fitted) - 1,
                f"for {len(self.fitted)} images on the map",
            )
            umap = UMAP(n_neighbors=map_neighbors, seed=seeding.derive(self.seed, "latent_explore", self.row, "map"))
            umap.fit(self.train[self.fitted].numpy())
            placed["neighbors"] = [umap.transform(space.numpy()) for space in (self.train, self.test)]
            placed["neighbors"][0][self.fitted] = umap.embedding_  # duplicates are placed where the first of them is
            titles["neighbors"] = f"neighbours (UMAP fitted on {len(self.fitted)})"
        for split, part in (("train", 0), ("test", 1)):
            artifacts.write_array(
                paths.maps(self.row) / f"{split}.npy", np.stack([each[part] for each in placed.values()], axis=1)
            )
        artifacts.write_model(paths.maps(self.row), arrays, {"maps": list(placed), "ordered_by": self._ordered_by})
        drawn = np.sort(self._shuffled[: min(_N_DRAWN, len(self.fitted))])
        # Two latents are already a map: components rotate it, and neighbours tear it apart.
        shown = {key: train for key, (train, _) in placed.items() if dim != 2 or key == "latents"}
        panels = [(titles[key], train[drawn], self._class_means(train)) for key, train in shown.items()]
        labels = self.dataset.train_labels[drawn]
        of_classes = "and the centroids of their classes" if self.dataset.labelled else ""
        between = "\n" if len(shown) == 1 else " "  # one map is narrower than the title
        title = f"{self.row}: {len(labels)} train images{between}{of_classes}".rstrip()
        names = self.dataset.classes if self.dataset.labelled else [""]
        figure = figures.class_maps(panels, labels, names, title)
        artifacts.write_figure(self.folder / "maps.png", figure, palette=True)
        return self._kept({key: test for key, (_, test) in placed.items() if key != "latents"})

    def _kept(self, maps: dict[str, np.ndarray]) -> dict[str, float]:
        near = [
            nearest(points, points, _NEIGHBORHOOD, exclude_self=True, label=f"{self.row}: {name} map").indices
            for name, points in maps.items()
        ]
        ranked = neighborhoods.ranks(self.test.numpy(), near, f"{self.row}: ranks")
        return {
            f"{name}_map_trustworthiness": neighborhoods.kept_share(each, _NEIGHBORHOOD, len(self.test))
            for name, each in zip(maps, ranked, strict=True)
        }

    def separation(self) -> dict[str, float]:
        """Return how far apart the classes are: silhouette of test latents, accuracy of a linear probe on them."""
        if not self.dataset.labelled:
            return {}
        test, labels = self.test.numpy(), self.dataset.test_labels
        generator = seeding.numpy_generator(self.seed, "latent_explore", self.row, "silhouette")
        predicted = probe.predictions(self.train.numpy(), self.dataset.train_labels, test)
        return {
            "silhouette": latents.silhouette(test, labels, _N_COMPARED, generator),
            "linear_probe": float(np.mean(predicted == labels)),
        }

    def prior(self) -> dict[str, float]:
        """Draw what the prior holds, also at its holes; return how confident the classifier is about it.

        Holes are draws that are far from the nearest train latent; latents that a VAE does not use do not count.
        """
        draws = self._prior_draws(self.params.n_prior_samples, self._torch_generator())
        images = self._decoded(draws)
        source = "N(0, I)" if isinstance(self.method, HasPosterior) else "a Gaussian fitted to the train latents"
        shown = images[: _GRID * _GRID].unflatten(0, (_GRID, _GRID))
        self._picture("prior", shown, [], f"{self.row}: decoded draws from {source}")

        used = self._used()
        near_draws, near_test = (
            nearest(points[:, used].numpy(), self.train[:, used].numpy(), 1, label=f"{self.row}: holes").distances[:, 0]
            for points in (draws, self.test[: len(draws)])
        )
        farthest = np.argsort(-near_draws, kind="stable")
        middle = len(draws) // 2 - _GRID // 2
        chosen = np.concatenate([farthest[middle : middle + _GRID], farthest[:_GRID]])
        points = images[chosen].flatten(1).numpy() * np.float32(LEVELS)
        found = nearest(points, self.dataset.train_pixels, 1, label=f"{self.row}: nearest train images").indices[:, 0]
        originals = inference.to_unit(torch.tensor(self.dataset.train_images[found]))
        lines = torch.stack([images[chosen], originals]).unflatten(1, (2, _GRID)).swapaxes(0, 1).flatten(0, 1)
        names = ["ordinary draws", "nearest train images", "draws in holes", "nearest train images"]
        self._picture("holes", lines, names, f"{self.row}: draws, and those farthest from all train latents")

        scores = {}
        if near_test.any():  # else all images have the same latents, and there is nothing to compare with
            scores["draws_distance"] = float(near_draws.mean() / near_test.mean())
        if self.classify is not None:
            sure = self._probabilities(images).max(axis=1) > CONFIDENT
            scores["draws_confident_share"] = float(sure.mean())
            scores["holes_confident_share"] = float(sure[farthest[: len(draws) // 10]].mean())
        return scores

    def plane(self) -> None:
        """Draw what is decoded from the plane of most variance, which the map of principal components shows.

        With two latents the plane is the whole space, and they are its axes.
        """
        points, title = self._latent_plane() if self.train.shape[1] == 2 else self._plane_of_most_variance()
        images = self._decoded(torch.tensor(points.reshape(-1, points.shape[-1]), dtype=torch.float32))
        self._picture("plane", images.unflatten(0, points.shape[:2]), [], f"{self.row}: {title}")

    def _plane_of_most_variance(self) -> tuple[np.ndarray, str]:
        """Return latents on it, (rows, columns, latent_dim), and a title for them."""
        deviations = np.sqrt(self._plane.variances_[: len(self._plane.components_)])
        across = np.linspace(-_SPAN, _SPAN, _GRID)
        steps = [across * deviation for deviation in deviations]
        steps[1:] = [step[::-1] for step in steps[1:]]  # the second component points upwards, as in a map
        grid = np.stack(np.meshgrid(*steps), axis=-1)
        points = self._plane.inverse_transform(grid.reshape(-1, len(steps)))
        title = f"the plane of most variance, {_SPAN:g} deviations to each side of the mean"
        return points.reshape(-1, _GRID, points.shape[1]), title

    def _latent_plane(self) -> tuple[np.ndarray, str]:
        """Return the grid that two latents span, as their map shows it, and a title for it."""
        ends = np.quantile(self.train.numpy(), [_TAIL, 1.0 - _TAIL], axis=0)  # (2, 2)
        first, second = (np.linspace(ends[0, axis], ends[1, axis], _FINE_GRID) for axis in (0, 1))
        (left, bottom), (right, top) = ends
        title = f"latent 0 to the right, {left:.3g} to {right:.3g}, and latent 1 upwards, {bottom:.3g} to {top:.3g}"
        return np.stack(np.meshgrid(first, second[::-1]), axis=-1), title

    def traversals(self) -> None:
        """Draw one latent at a time, the most important ones first, from low to high with the others at their means."""
        shown = self.importance[:_N_TRAVERSED]
        lines = self.mean.repeat(len(shown), _GRID, 1)
        steps = torch.linspace(-_SPAN, _SPAN, _GRID)
        for line, latent in zip(lines, shown["latent"], strict=True):
            # A VAE's prior says how far a latent reaches, whatever its posterior means do.
            of_prior = isinstance(self.method, HasPosterior)
            line[:, latent] = steps if of_prior else self.mean[latent] + steps * self.deviation[latent]
        says = "{:.3g} nats" if self._ordered_by == "kl" else "variance {:.3g}"
        names = [
            f"latent {latent}\n{says.format(value)}"
            for latent, value in zip(shown["latent"], shown[self._ordered_by], strict=True)
        ]
        images = self._decoded(lines.flatten(0, 1)).unflatten(0, lines.shape[:2])
        title = f"{self.row}: one latent at a time, from {-_SPAN:g} to {_SPAN:g} deviations"
        self._picture("traversals", images, names, title)

    def interpolations(self) -> dict[str, float]:
        """Draw straight and spherical paths between test images; return how confident the classifier is on them."""
        if self.classify is None:
            return self._ways_without_classes()
        chosen = self.params.interpolations
        named = [(self._label(a), self._label(b)) for a, b in chosen or []]
        pairs = named or list(pairwise(self.classes))[:_N_WAYS]
        counts = [min(len(self._of_class(label, _N_ENDS)) for label in pair) for pair in pairs]
        first, second = (
            torch.cat([self.test[self._of_class(pair[end], n)] for pair, n in zip(pairs, counts, strict=True)])
            for end in (0, 1)
        )
        ends = np.repeat(pairs, counts, axis=0)  # (ways, 2) classes
        shares = torch.linspace(0.0, 1.0, self.params.interpolation_steps)
        ways = {
            "straight": latents.straight(first, second, shares),
            "spherical": latents.spherical(first, second, shares, self._centre),
        }
        starts = np.cumsum([0, *counts[:-1]])
        table, pictures, found = pd.DataFrame({"share": shares.numpy()}), [], {}
        for name, way in ways.items():
            images = self._decoded(way.flatten(0, 1))
            pictures.append(images.unflatten(0, way.shape[:2])[starts])
            probabilities = self._probabilities(images).reshape(*way.shape[:2], -1)
            confidence = probabilities.max(axis=2)
            table[f"{name}_confidence"] = confidence.mean(axis=0)
            of_an_end = (probabilities.argmax(axis=2)[..., None] == ends[:, None]).any(axis=2)
            table[f"{name}_class_of_an_end"] = of_an_end.mean(axis=0)
            found[name] = float(confidence[:, 1:-1].mean())
        artifacts.write_table(self.folder / "interpolation.csv", table)
        names = [f"{self.dataset.classes[a]} to\n{self.dataset.classes[b]}" for a, b in pairs]
        labels = [label for name in names for label in (name, "around")]
        title = f"{self.row}: straight ways between test images, and ways around the centre"
        self._picture("interpolation", torch.stack(pictures, dim=1).flatten(0, 1), labels, title)
        return {
            "interpolation_confidence": found["straight"],
            "interpolation_confidence_spherical": found["spherical"],
        }

    def _ways_without_classes(self) -> dict[str, float]:
        """Draw paths between test images, from the first to the second and so on."""
        n = min(_N_WAYS, len(self.test) // 2)
        first, second = self.test[: 2 * n : 2], self.test[1 : 2 * n : 2]
        shares = torch.linspace(0.0, 1.0, self.params.interpolation_steps)
        ways = (latents.straight(first, second, shares), latents.spherical(first, second, shares, self._centre))
        pictures = [self._decoded(way.flatten(0, 1)).unflatten(0, way.shape[:2]) for way in ways]
        columns = [f"{name}_{what}" for name in ("straight", "spherical") for what in ("confidence", "class_of_an_end")]
        artifacts.write_table(self.folder / "interpolation.csv", pd.DataFrame(columns=["share", *columns]))
        title = f"{self.row}: straight ways between test images, and ways around the centre"
        self._picture("interpolation", torch.stack(pictures, dim=1).flatten(0, 1), ["straight", "around"] * n, title)
        return {}

    def arithmetic(self) -> dict[str, float]:
        """Draw test images with the difference of two classes added; return how often the classifier recognises it.

        That is the share of images, with the whole difference, that it assigns to the class that was added.
        """
        columns = ["image", "minus", "plus", "strength", "called_plus", "confidence"]
        if self.classify is None:
            artifacts.write_table(self.folder / "arithmetic.csv", pd.DataFrame(columns=columns))
            artifacts.write_figure(self.folder / "arithmetic.png", figures.no_labels())
            return {}
        named = [[self._label(name) for name in each] for each in self.params.arithmetic or []]
        means = torch.tensor(self._class_means(self.train.numpy()), dtype=torch.float32)
        lines, grid, captions, names = [], [], [], []
        for label, minus, plus in named or self._sums():
            index = self._of_class(label, _N_ADDED)
            strengths = torch.tensor([0.0, *_STRENGTHS])
            points = self.test[index, None] + strengths[:, None] * (means[plus] - means[minus])
            images = self._decoded(points.flatten(0, 1)).unflatten(0, points.shape[:2])
            probabilities = self._probabilities(images.flatten(0, 1)).reshape(*points.shape[:2], -1)
            of_three = [self.dataset.classes[each] for each in (label, minus, plus)]
            called_plus = (probabilities.argmax(axis=2) == plus).mean(axis=0)
            confidence = probabilities.max(axis=2).mean(axis=0)
            lines += [(*of_three, *each) for each in zip(strengths.tolist(), called_plus, confidence, strict=True)]
            original = inference.to_unit(torch.tensor(self.dataset.test_images[index[:1]]))
            grid.append(torch.cat([original, images[0]]))
            seen = np.concatenate([self._probabilities(original), probabilities[0]])
            captions.append([f"{self.dataset.classes[each.argmax()]}\n{each.max():.2f}" for each in seen])
            names.append(f"{of_three[0]}\n- {of_three[1]}\n+ {of_three[2]}")
        table = pd.DataFrame(lines, columns=columns)
        artifacts.write_table(self.folder / "arithmetic.csv", table)
        steps = ", ".join(f"{each:g}" for each in _STRENGTHS)
        title = f"{self.row}: image, decoded, with {steps} x the difference"
        self._picture("arithmetic", torch.stack(grid), names, title, captions)
        return {"arithmetic_called_plus": float(table.loc[table["strength"] == 1.0, "called_plus"].mean())}

    @cached_property
    def _plane(self) -> PCA:
        return PCA(min(2, self.train.shape[1])).fit(self.train.numpy())

    @property
    def _ordered_by(self) -> str:
        return "kl" if isinstance(self.method, HasPosterior) else "variance"

    @property
    def _centre(self) -> Tensor:
        return torch.zeros_like(self.mean) if isinstance(self.method, HasPosterior) else self.mean

    def _used(self) -> Tensor:
        """Return which latents count for the distance of a draw, (latent_dim,) bool."""
        used = self.train.var(dim=0) > likelihood.ACTIVE
        return used if isinstance(self.method, HasPosterior) and used.any() else torch.ones_like(used)

    def _prior_draws(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw latents: from the prior that a VAE was trained with, or a Gaussian fitted to those of an autoencoder."""
        normal = torch.randn((n, self.train.shape[1]), generator=generator)
        if isinstance(self.method, HasPosterior):
            return normal
        covariance = torch.atleast_2d(self.train.double().T.cov())
        variances, vectors = torch.linalg.eigh(covariance)
        root = vectors * variances.clamp(min=0).sqrt()
        return torch.addmm(self.train.double().mean(dim=0), normal.double(), root.T).float()

    def _class_means(self, points: np.ndarray) -> np.ndarray:
        """Return the mean of train points (n, d) of each class, (n_classes, d) float64, NaN where there are none."""
        labels, n_classes = self.dataset.train_labels, len(self.dataset.classes)
        return np.stack(
            [
                points[labels == label].mean(axis=0, dtype=np.float64)
                if label in self.classes
                else np.full(points.shape[1], np.nan)
                for label in range(n_classes)
            ]
        )

    def _sums(self) -> list[tuple[int, int, int]]:
        """Return four differences of a class and the next, each added to images of that class and of another."""
        n = len(self.classes)
        some = np.unique(np.linspace(0, n - 2, min(4, n - 1)).round().astype(int))
        of_three = [tuple(self.classes[(i + step) % n] for step in range(3)) for i in some]
        return [three for a, b, c in of_three for three in ((a, a, b), (c, a, b))]

    def _label(self, name: str) -> int:
        label = self.dataset.classes.index(name)
        if label not in self.classes:
            raise InputError(f"latent_explore names the class {name}, but the data has no images of it")
        return label

    def _of_class(self, label: int, n: int) -> np.ndarray:
        return np.flatnonzero(self.dataset.test_labels == label)[:n]

    def _decoded(self, points: Tensor) -> Tensor:
        return torch.from_numpy(self.method.decode(points.numpy()))

    def _probabilities(self, images: Tensor) -> np.ndarray:
        assert self.classify is not None
        return inference.apply(self.classify, images).numpy()

    def _torch_generator(self, *names: str) -> torch.Generator:
        return seeding.torch_generator(self.seed, "latent_explore", self.row, *names)

    def _picture(
        self,
        name: str,
        images: Tensor,
        row_labels: Sequence[str],
        title: str,
        captions: Sequence[Sequence[str]] = (),
    ) -> None:
        figure = figures.tiles(images.numpy(), row_labels, title, captions)
        artifacts.write_figure(self.folder / f"{name}.png", figure, palette=figures.is_grey(images.numpy()))


def main() -> None:
    """Run the stage."""
    stage, row = lifecycle.stage_and_row(__doc__)
    with lifecycle.stage(stage, row) as view:
        project = view.section(Project)
        threads.use(project.threads)
        explorer = Explorer(row, project, view.section(LatentExploreParams, "latent_explore"))
        found = explorer.order()
        found |= explorer.maps()
        found |= explorer.separation()
        found |= explorer.prior()
        explorer.plane()
        explorer.traversals()
        found |= explorer.interpolations()
        found |= explorer.arithmetic()
        artifacts.write_metrics(explorer.folder / "metrics.json", found)


if __name__ == "__main__":
    main()
