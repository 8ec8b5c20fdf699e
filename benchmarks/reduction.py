"""Compare neighbours, kNN and Isomap with what a user could use instead; `make benchmark-reduction` runs it.

Every candidate runs in a separate process, so that its peak memory is its own. Ours and its peer take turns, so that
noise of the machine affects both alike, and the shortest time counts. Memory is counted beyond packages and images.
"""

import argparse
import multiprocessing
import resource
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from sklearn import manifold, neighbors
from sklearn.model_selection import RandomizedSearchCV

from latentbench import threads
from latentbench.core import artifacts
from latentbench.neighbors import knn
from latentbench.neighbors.search import nearest
from latentbench.reduction.isomap import Isomap

RAW = Path("data/raw")
Data = dict[str, np.ndarray]


def load() -> Data:
    """Return the real images as points in [0, 1] and their labels."""
    data: Data = {}
    for name in ("train", "test"):
        images = artifacts.read_array(RAW / f"{name}_images.npy")
        data[name] = images.reshape(len(images), -1) / np.float32(255)
        data[f"{name}_labels"] = np.array(artifacts.read_array(RAW / f"{name}_labels.npy"))
    return data


def labels_ours(data: Data) -> np.ndarray:
    """Classify the test images."""
    return knn.KNeighborsClassifier(5).fit(data["train"], data["train_labels"]).predict(data["test"])


def labels_scikit_learn(data: Data) -> np.ndarray:
    """Classify the test images by brute force."""
    peer = neighbors.KNeighborsClassifier(5, algorithm="brute").fit(data["train"], data["train_labels"])
    return np.asarray(peer.predict(data["test"]))


def product(data: Data) -> None:
    """Only multiply the test images with the train images, as every exact search must."""
    train = torch.tensor(data["train"]).T.contiguous()
    for block in torch.tensor(data["test"]).split(1000):
        torch.mm(block, train)


def graph_ours(data: Data) -> np.ndarray:
    """Find the 5 nearest of every train image."""
    return nearest(data["train"], data["train"], 5, exclude_self=True).indices


def graph_faiss(data: Data) -> np.ndarray:
    """Find the 5 nearest of every train image with faiss's flat index."""
    index = faiss.IndexFlatL2(data["train"].shape[1])
    index.add(data["train"])
    return np.asarray(index.search(data["train"], 6)[1][:, 1:])


def choice_ours(data: Data) -> tuple[int, str]:
    """Choose k and the weights on 12,000 images, all of 1..20 with both weightings."""
    points, labels = data["train"][:12_000], data["train_labels"][:12_000]
    choice = knn.choose(nearest(points, points, 20, exclude_self=True), labels, 10)
    return choice.k, choice.weights


def choice_of_the_report(data: Data) -> tuple[int, str]:
    """Choose them as the report did: 10 random candidates, 3 folds."""
    candidates = {"n_neighbors": list(range(1, 20)), "weights": ["uniform", "distance"]}
    search = RandomizedSearchCV(neighbors.KNeighborsClassifier(), candidates, n_iter=10, cv=3, random_state=0)
    search.fit(data["train"][:12_000], data["train_labels"][:12_000])
    return search.best_params_["n_neighbors"], search.best_params_["weights"]


def isomap_full(data: Data, n: int = 8000, memory_map: str | None = None) -> Any:
    """Embed n images by the geodesic distances between all of them."""
    return Isomap(n_components=10, n_landmarks=None, memory_map=memory_map).fit(data["train"][:n])


def isomap_landmark(data: Data, n: int = 8000) -> Any:
    """Embed n images by their geodesic distances to 1,000 of them."""
    return Isomap(n_components=10, n_landmarks=1000, random_state=0).fit(data["train"][:n])


def isomap_scikit_learn(data: Data, n: int = 8000) -> Any:
    """Embed n images with scikit-learn."""
    return manifold.Isomap(n_neighbors=5, n_components=10).fit(data["train"][:n])


def accuracy(isomap: Any, data: Data) -> str:
    """Classify the test images by their 5 nearest in the embedding."""
    n = len(isomap.embedding_)
    classifier = knn.KNeighborsClassifier(5).fit(isomap.embedding_, data["train_labels"][:n])
    return f"kNN accuracy {classifier.score(isomap.transform(data['test']), data['test_labels']):.4f}"


Work = Callable[[Data], Any]
_REPEATS, _ENOUGH_S = 3, 20.0


def _measure(work: Work, judge: Callable[[Any, Data], Any], answers: Any) -> None:
    """Run in a separate process: answer with seconds, MiB beyond what was loaded before, and a note on the result."""
    warnings.simplefilter("ignore")
    threads.use(None)
    data = load()
    _compile(data)
    before = _peak_mib()
    seconds, memory = [], 0.0
    while len(seconds) < _REPEATS and sum(seconds) < _ENOUGH_S:  # the first of short runs is slower, as memory is cold
        start = time.perf_counter()
        result = work(data)
        seconds.append(time.perf_counter() - start)
        memory = memory or _peak_mib() - before
    answers.put((min(seconds), memory, judge(result, data)))


def _compile(data: Data) -> None:
    """Let Numba load its compiled loops, as it does once in every process."""
    some = data["train"][:1600]
    Isomap(n_landmarks=None).fit(some).transform(some[:10])


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _alone(work: Work, judge: Callable[[Any, Data], Any]) -> tuple[float, float, Any]:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_measure, args=(work, judge, answers))
    process.start()
    while process.exitcode is None and answers.empty():
        process.join(0.2)
    if process.exitcode:
        raise RuntimeError(f"{work} ended with exit code {process.exitcode}")
    answer: tuple[float, float, Any] = answers.get()
    process.join()
    return answer


def compare(name: str, ours: Work, peer: Work, judge: Callable[[Any, Data], Any], turns: int) -> None:
    """Print a line: how many times as fast ours is, both times, both peak memories, both results."""
    measured: dict[str, list[tuple[float, float, Any]]] = {"ours": [], "peer": []}
    for _ in range(turns):
        measured["ours"].append(_alone(ours, judge))
        measured["peer"].append(_alone(peer, judge))
    best = {who: min(runs, key=lambda run: run[0]) for who, runs in measured.items()}
    (our_s, our_mib, our_word), (peer_s, peer_mib, peer_word) = best["ours"], best["peer"]
    print(
        f"{name}: {peer_s / our_s:.2f} times as fast; {our_s:.2f} s against {peer_s:.2f} s; "
        f"{our_mib:.0f} MiB against {peer_mib:.0f} MiB; {our_word} against {peer_word}",
        flush=True,
    )


def grow(name: str, work: Callable[[Data, int], Any]) -> None:
    """Print how time and memory grow with the number of images."""
    for n in (7_500, 15_000, 30_000, 60_000):
        seconds, mib, word = _alone(partial(work, n=n), accuracy)
        print(f"{name}, {n} images: {seconds:.1f} s, {mib:.0f} MiB; {word}", flush=True)


def first_entries(found: Any, _: Data) -> str:
    """Describe an array by a checksum of its entries, or another result by itself."""
    return f"sum {int(np.sum(found))}" if isinstance(found, np.ndarray) else str(found)


def main() -> None:
    """Run the chosen comparisons."""
    comparisons: dict[str, Callable[[], None]] = {
        "labels": lambda: compare(
            "kNN labels against scikit-learn", labels_ours, labels_scikit_learn, first_entries, 2
        ),
        "product": lambda: compare("kNN labels against the product alone", labels_ours, product, first_entries, 2),
        "graph": lambda: compare("kNN graph of all against faiss", graph_ours, graph_faiss, first_entries, 2),
        "choice": lambda: compare(
            "choice of k against the report's", choice_ours, choice_of_the_report, first_entries, 1
        ),
        "full": lambda: compare(
            "Isomap full, 8,000, against scikit-learn", isomap_full, isomap_scikit_learn, accuracy, 2
        ),
        "landmark": lambda: compare(
            "Isomap landmark, 8,000, against scikit-learn", isomap_landmark, isomap_scikit_learn, accuracy, 2
        ),
        "growth": lambda: grow("Isomap landmark", isomap_landmark),
    }
    by_hand: dict[str, Callable[[], None]] = {"full-growth": lambda: grow("Isomap full", isomap_full)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", choices=[*comparisons, *by_hand, []], help="default: all but full-growth")
    for name in parser.parse_args().name or comparisons:
        (comparisons | by_hand)[name]()


if __name__ == "__main__":
    main()
