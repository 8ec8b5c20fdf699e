"""Write the report of the run in the workspace: first which row is best at what, then every table and figure.

It is one HTML file that can be sent, and that opens without a network. `make report` writes it to report/index.html,
which git ignores, because costs differ from run to run.
"""

import argparse
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from latentbench.core import artifacts, progress
from latentbench.core.errors import LatentbenchError
from latentbench.evaluation import columns
from latentbench.params import base
from tools.lib import claims, experiments, glossary, pages, published_results, rows, seed_tables, strips, trades
from tools.lib.answers import QUESTIONS, Answer, Answers, listed
from tools.lib.pages import Card, Picture, Section, Strip, Strips
from tools.lib.runs import Run

_PAGE = Path("report/index.html")
_PACKAGES = ("torch", "numpy", "scikit-learn", "dvc")
_FIRST_PARAMS = ("latent_dim", "n_samples", "seed", "threads", "device", "precision")
# Columns of the table at a glance, by the table that they come from.
_AT_A_GLANCE = {
    "evaluate/representations": ("knn_accuracy", "mse", "bytes_per_image", "model_bytes"),
    "evaluate/generators": ("frechet", "coverage"),
    "costs": ("fit_s",),
}
_N_SHOWN = 10  # images per row, as the stage evaluate draws them
_N_CONFUSIONS = 20
_MEANINGS_AT_A_GLANCE = glossary.of_columns("costs") | {
    name: meaning
    for table in ("evaluate/representations", "evaluate/generators")
    for name, meaning in glossary.of_columns(table).items()
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--note", help="a note at the top of the page")
    note = parser.parse_args().note
    try:
        text = report(Run(Path()), facts(Path()), note or "")
        artifacts.write_text(_PAGE, text)
    except LatentbenchError as error:
        sys.exit(f"report: {error}")
    progress.note(f"written: {_PAGE}, {len(text) / 2**20:.1f} MiB")


def facts(root: Path) -> dict[str, str]:
    """Return what identifies the run in the workspace: commit, data, versions.

    Raises:
        ExperimentError: the workspace is not a git repository.
        ArtifactError: params.yaml is missing, or both data/raw and dvc.lock are.
    """
    changed = experiments.changed_files()
    params = base.parse(artifacts.read_bytes(root / "params.yaml"))
    found = {
        "commit": experiments.revision_of("HEAD") + (f", with changes of {', '.join(changed)}" if changed else ""),
        "data": _data(root),
        "versions": ", ".join(["python " + sys.version.split()[0], *(f"{name} {version(name)}" for name in _PACKAGES)]),
    }
    return found | {name: yaml.safe_dump(params[name]).split("\n")[0] for name in _FIRST_PARAMS}


def _data(root: Path) -> str:
    """Return the title of the dataset and its hash in dvc.lock; a sketch has no dvc.lock."""
    described = root / "data/raw/dataset.json"
    title = f"{artifacts.read_json(described)['title']}, " if described.exists() else ""
    if (root / "dvc.lock").exists() or not title:
        lock = yaml.safe_load(artifacts.read_bytes(root / "dvc.lock"))
        return f"{title}{lock['stages']['download']['outs'][0]['md5']} (MD5 of data/raw in dvc.lock)"
    return title.removesuffix(", ")


def report(run: Run, about: dict[str, str], note: str = "") -> str:
    """Return the report of a run as HTML.

    Args:
        run: whose tables and figures are shown.
        about: what identifies it, by name.
        note: what readers must know before anything else.

    Raises:
        CostsError: its timings, or its scores of each test image, are missing.
        NotMeasuredError: a table is missing.
        PageError: a column or a figure has no meaning.
        StripsError: a picture does not fit its table.
    """
    introduction = (
        "Numbers in brackets are the ends of 95% intervals. A row counts as better only if the interval of the "
        "difference, over the same test images, excludes zero, even after a correction for every pair of rows (Holm). "
        "Anything else is a tie. Most of this page is folded: open what you need. Click a column's heading to sort."
    )
    title = f"latentbench: report of a run on {run.params['data']['dataset']}"
    return pages.render(title, introduction, about, Contents(run).sections(), note)


class Contents:
    """The tables and figures of a run, in the order of the report; those that no section takes come last.

    Args:
        run: as for `report`.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._metrics = run.root / "metrics"
        self._figures = sorted(self._metrics.rglob("*.png"))
        names = (path.relative_to(self._metrics).with_suffix("").as_posix() for path in self._metrics.rglob("*.csv"))
        self._tables = sorted(filter(glossary.is_shown, names))

    def sections(self) -> Iterator[Section]:
        """Yield the sections of the report."""
        yield self._in_short()
        yield self._side_by_side()
        glance = self._glance()
        yield Section(
            "What quality costs",
            "Each row by its quality and its cost. No row is both better and cheaper than one on the line.",
            pictures=list(trades.pictures(glance)),
        )
        yield Section("The scores at a glance", "", glance, _MEANINGS_AT_A_GLANCE)
        yield self._representations()
        yield self._generators()
        text = "How many bits or nats VAEs and the diffusion model on pixels need for an image."
        yield self._table("evaluate/likelihoods", "Likelihoods", text, folded=True)
        yield self._claims()
        yield self._reference()
        yield Section(
            "Costs",
            "What each row took on the machine of this run; seconds and memory differ from run to run.",
            self.run.costs,
            glossary.of_columns("costs"),
            folded=True,
        )
        yield self._seeds()
        yield Section(
            "Sweeps",
            "Runs over params that trade one score for another, from 'make sweep'.",
            parts=list(self._sweeps()),
            folded=True,
        )
        yield Section(
            "PCA and Isomap",
            parts=[
                Section("The train images", pictures=self._pictures("preprocess/*")),
                Section("PCA", pictures=self._pictures("pca/*")),
                self._table("pca/knn", "PCA: kNN by number of components"),
                self._table("pca/reconstruction", "PCA: images rebuilt from its components"),
                self._table("pca/classes", "PCA: what its directions say about the classes"),
                Section("Isomap", pictures=self._pictures("isomap/*")),
                self._table("isomap/search", "Isomap: its two numbers"),
                self._table("isomap/s_curve", "Isomap and PCA on the S-curve"),
            ],
            folded=True,
        )
        for stage, title, text in (
            ("latent_explore", "Latent spaces", "What is in the latents."),
            ("diffusion_explore", "Diffusion models", "From noise to images."),
        ):
            yield Section(title, text, parts=list(self._folders(stage)), folded=True)
        yield self._trainings()
        rest = [self._table(name, name) for name in list(self._tables)]
        pictures = self._pictures("*")
        if rest or pictures:
            yield Section("More", pictures=pictures, parts=rest, folded=True)
        yield self._params()

    def _in_short(self) -> Section:
        """Return which row is best at what, and which questions have no answer."""
        answers = Answers(self.run)
        found = answers.all()
        missing = {each.title for each in QUESTIONS} - {each.question.title for each in found}
        text = f"Left out, because fewer than two rows have the score: {listed(sorted(missing))}." if missing else ""
        return Section("In short", text, cards=[*map(self._card, found), self._card_of_costs()])

    @staticmethod
    def _card(answer: Answer) -> Card:
        ties = answer.ties
        best = f"{answer.best}, tied with {listed(ties)}" if ties else answer.best
        return Card(answer.question.title, best, list(answer.sentences()))

    def _card_of_costs(self) -> Card:
        """Return which rows were fastest and slowest to fit, and which are smallest and largest."""
        fits = self.run.costs.dropna(subset=["fit_s"]).set_index("row")["fit_s"].sort_values()
        sizes = self._glance().set_index("row")["model_bytes"]
        sizes = sizes[sizes > 0].sort_values()
        return Card(
            "Lowest cost",
            f"{fits.index[0]} in time, {sizes.index[0]} in size",
            [
                f"{fits.index[0]} was fitted in {_duration(fits.iloc[0])}; {fits.index[-1]} took longest, "
                f"{_duration(fits.iloc[-1])}.",
                f"{sizes.index[0]} has the smallest file, {_size(sizes.iloc[0])}; {sizes.index[-1]} the largest, "
                f"{_size(sizes.iloc[-1])}.",
                "Times are from the machine of this run, and have no interval.",
            ],
        )

    def _side_by_side(self) -> Section:
        """Return the same test images as each row rebuilds them, and the images that it draws, with the numbers."""
        represented = self.run.table("evaluate/representations").set_index("row")
        drawn = self.run.table("evaluate/generators").set_index("row")
        rebuilt, samples = "rebuilt", "drawn"
        shape = Answers(self.run).judged("real")["shown"][:_N_SHOWN].shape
        decoded = list(represented.index[represented["mse"].notna()]) if "mse" in represented else []
        left = strips.cut(self._metrics / "evaluate/reconstructions.png", ["original", *decoded], shape)
        right = strips.cut(self._metrics / "evaluate/samples.png", list(drawn.index), shape)
        others = [row for row in dict.fromkeys([*represented.index, *drawn.index]) if row in left or row in right]
        shown = [
            Strip(
                "real images",
                {
                    rebuilt: Picture(left["original"], "Test images"),
                    samples: Picture(right["real"], "Train images"),
                },
                {
                    rebuilt: "test images, to be rebuilt",
                    samples: f"train images: Fréchet distance {self._score('generators', 'frechet', 'real')}",
                },
            )
        ]
        for row in others:
            if rows.family_of(row, self.run.params) == "real":
                continue
            pictures, numbers = {}, {rebuilt: "rebuilds no images", samples: "draws no images"}
            if row in left:
                pictures[rebuilt] = Picture(left[row], f"The test images rebuilt by {row}")
                accuracy = self._score("representations", "knn_accuracy", row, "kNN accuracy ")
                numbers[rebuilt] = ", ".join(
                    filter(None, [f"squared error {self._score('representations', 'mse', row)}", accuracy])
                )
            if row in right:
                pictures[samples] = Picture(right[row], f"Images drawn by {row}, not selected")
                numbers[samples] = (
                    f"Fréchet distance {self._score('generators', 'frechet', row)}, "
                    f"coverage {self._score('generators', 'coverage', row)}"
                )
            shown.append(Strip(row, pictures, numbers))
        text = "The same test images rebuilt by each row, and the first images that it draws, not selected."
        return Section("The rows side by side", text, strips=Strips((rebuilt, samples), shown))

    def _score(self, table: str, score: str, row: str, before: str = "") -> str:
        """Return a score with its interval as text, and words before it; "" where the run has none."""
        if score not in self.run.table(f"evaluate/{table}"):
            return ""
        return f"{before}{self.run.score(f'evaluate/{table}', score, row=row)}"

    def _glance(self) -> pd.DataFrame:
        """Return the main scores and the costs of each row, in one table."""
        order = [row for row in self.run.rows() if rows.family_of(row, self.run.params) != "real"]
        found = pd.DataFrame(index=pd.Index(order, name="row"))
        for name, wanted in _AT_A_GLANCE.items():
            table = (self.run.costs if name == "costs" else self.run.table(name)).set_index("row")
            every = [f"{column}{end}" for column in wanted for end in ("", "_lo", "_hi")]
            found = found.join(table[[column for column in every if column in table]])
        for row in found.index[found["model_bytes"].isna()]:  # rows that only draw
            coder = rows.coder_of(row)  # a density draws through the network of another row
            found.loc[row, "model_bytes"] = found["model_bytes"].get(coder) if coder else self.run.model_bytes(row)
        return found.reset_index()

    def _pictures(self, *patterns: str) -> list[Picture]:
        """Take the figures whose paths match the patterns, in the order of the patterns."""
        taken = []
        for pattern in patterns:
            matching = [path for path in self._figures if fnmatch(path.relative_to(self._metrics).as_posix(), pattern)]
            self._figures = [path for path in self._figures if path not in matching]
            taken += [glossary.picture(path, self._metrics) for path in matching]
        return taken

    def _table(self, name: str, title: str, explanation: str = "", **more: Any) -> Section:
        """Take a table; a run that lacks a row may also lack the tables that only its stage writes."""
        if not (self._metrics / f"{name}.csv").exists():
            return Section(title, f"The run has no metrics/{name}.csv.")
        if name in self._tables:
            self._tables.remove(name)
        return Section(
            title, explanation, self.run.table(name), glossary.of_columns(name), first=glossary.first(name), **more
        )

    def _params(self) -> Section:
        flat = experiments.flatten(self.run.params)
        values = [
            yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip() for value in flat.values()
        ]
        table = pd.DataFrame({"param": list(flat), "value": values})
        meaning = {"param": "Its key in params.yaml, which explains each.", "value": "Its value in this run."}
        return Section("Params", "All settings of this run.", table, meaning, folded=True)

    def _representations(self) -> Section:
        return self._table(
            "evaluate/representations",
            "Representations",
            "Each way to represent images, judged by a classifier on the nearest neighbours among the train images. "
            "Intervals are over the test images; for what another seed changes, see Seeds below.",
            folded=True,
            pictures=self._pictures("evaluate/knn_accuracy.png", "evaluate/reconstructions.png"),
            parts=[self._table("evaluate/neighborhoods", "How well neighbourhoods are kept"), *self._classes()],
        )

    def _classes(self) -> Iterator[Section]:
        """Yield how the classifier does on each class, by representation."""
        for row in self.run.table("evaluate/representations")["row"]:
            name = f"evaluate/classification/{row}"
            if name not in self._tables:
                continue
            yield self._table(name, f"Classes by {row}", folded=True)
            images = self.run.table(f"evaluate/confusion/{row}").astype(str)  # classes may be named by numbers
            shares = pd.crosstab(images["actual"], images["predicted"], normalize="index").round(4)
            taken = shares.rename_axis("class").reset_index().melt("class", var_name="taken for", value_name="share")
            wrong = taken[(taken["class"] != taken["taken for"]) & (taken["share"] > 0)]
            table = wrong.sort_values("share", ascending=False, kind="stable").head(_N_CONFUSIONS)
            text = f"The {len(table)} most frequent of {len(wrong)}."
            yield Section(f"Confusions by {row}", text, table, glossary.of_columns("confusions"), folded=True)

    def _generators(self) -> Section:
        return self._table(
            "evaluate/generators",
            "Generators",
            "Each way to generate images, judged against held-out test images in the features of the reference "
            "classifier. Intervals are jackknives over images. Rows whose names begin with real are real images.",
            folded=True,
            pictures=self._pictures("evaluate/frechet.png", "evaluate/samples.png", "evaluate/samples/*"),
            parts=[
                *self._densities(),
                self._table("evaluate/inpainting", "Lower halves filled in"),
                self._table(
                    "benchmarks/diffusion",
                    "Diffusion against diffusers",
                    "From 'make benchmark-diffusion'.",
                    pictures=self._pictures("benchmarks/diffusion.png"),
                ),
            ],
        )

    def _densities(self) -> Iterator[Section]:
        """Yield what was fitted to the latents of each autoencoder and VAE."""
        for name in [name for name in self._tables if name.endswith("/densities")]:
            yield self._table(name, f"Densities of the latents of {name.removesuffix('/densities')}", folded=True)

    def _claims(self) -> Section:
        found = claims.table(claims.check(self.run, with_times=True))
        found["claim"] = found.pop("about") + " " + found["claim"]
        shown = set(found["figure"]) - {""}
        pictures = {path: glossary.picture(self._metrics / path, self._metrics).name for path in shown} | {"": ""}
        return Section(
            "Claims of the reference report",
            "Each claim is a list of comparisons. If all hold, it is supported; if some do, in part; if none, not. "
            "Scores count as different only if their 95% intervals do not overlap, or do not reach a stated number. "
            f"Times have no interval, and count as different from a factor of {claims.FACTOR:g}.",
            found.assign(figure=found["figure"].map(pictures)),
            glossary.of_columns("claims/claims"),
            folded=True,
        )

    def _reference(self) -> Section:
        name, title = "reference/reference", "Figures of the reference report beside ours"
        if not (self._metrics / f"{name}.csv").exists():
            return Section(title, f"The run has no metrics/{name}.csv.", folded=True)
        return Section(
            title,
            "What the report prints, what the same methods give without its mistakes, and why they differ; from "
            "'make reference'.",
            published_results.side_by_side(self.run.table(name)),
            glossary.of_columns(name),
            folded=True,
        )

    def _seeds(self) -> Section:
        folder = self._metrics / "seeds"
        names = [path.relative_to(folder).parent.as_posix() for path in sorted(folder.rglob("seeds.csv"))]
        parts = []
        for name in names:
            table = seed_tables.side_by_side(self.run.table(f"seeds/{name}/seeds"))
            title, explanation = (name, "") if name != "." else ("The committed params", self._other_rows())
            parts.append(Section(title, explanation, table, glossary.of_columns("seeds/seeds")))
        return Section(
            "Seeds",
            "The same trainings with other seeds, from 'make seeds': a difference between two rows needs these "
            "intervals too.",
            parts=parts,
            folded=True,
        )

    def _other_rows(self) -> str:
        """Return a note on the rows whose seeds are from a run committed before this one."""
        values = self.run.table("seeds/values")
        scores: dict[str, dict[str, float]] = {}
        for comparison in columns.COMPARISONS:
            for line in self.run.table(f"evaluate/{comparison}").to_dict("records"):
                scores.setdefault(line["row"], {}).update({str(k): v for k, v in line.items() if k != "row"})
        seed, rows = int(self.run.params["seed"]), list(dict.fromkeys(values["row"]))
        others = [row for row in rows if not seed_tables.are_of_run(values, row, seed, scores.get(row, {}))]
        return f"From an older run, with other scores than this one: {', '.join(others)}." if others else ""

    def _sweeps(self) -> Iterator[Section]:
        for name in [name for name in self._tables if name.startswith("sweeps/")]:
            table, known = self.run.table(name), glossary.of_columns(name)
            params = {str(column): f"The param {column} in params.yaml." for column in table if column not in known}
            self._tables.remove(name)
            yield Section(name.removeprefix("sweeps/"), "", table, known | params, self._pictures(f"{name}*"))

    def _folders(self, stage: str) -> Iterator[Section]:
        """Yield what a stage that explores models wrote: all their numbers, then a section for each model."""
        folders = sorted(path for path in (self._metrics / stage).glob("*") if path.is_dir())
        if not folders:
            yield Section(f"{stage}: numbers", f"The run has no row in metrics/{stage}.")
            return
        numbers = pd.DataFrame([{"row": each.name, **artifacts.read_json(each / "metrics.json")} for each in folders])
        yield Section(f"{stage}: numbers", "", numbers, glossary.of_columns(stage))
        for folder in folders:
            inside = f"{stage}/{folder.name}/"
            tables = [name for name in self._tables if name.startswith(inside)]
            parts = [self._table(name, f"{folder.name}: {name.removeprefix(inside)}") for name in tables]
            yield Section(folder.name, pictures=self._pictures(f"{inside}*"), parts=parts)

    def _trainings(self) -> Section:
        losses = [name for name in self._tables if name.endswith("/loss")]
        rows = [name.removesuffix("/loss") for name in losses]
        numbers = [{"row": row, **artifacts.read_json(self._metrics / row / "metrics.json")} for row in rows]
        parts = [self._table(name, f"Losses of {row}", folded=True) for name, row in zip(losses, rows, strict=True)]
        title = "Trainings", "How the training of each network ended, and its losses by epoch."
        return Section(*title, pd.DataFrame(numbers), glossary.of_columns("training"), parts=parts, folded=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} minutes"


def _size(size: float) -> str:
    return f"{size / 1e3:.3g} kB" if size < 1e6 else f"{size / 1e6:.3g} MB"


if __name__ == "__main__":
    main()
