"""Seeds by name."""

import numpy as np
import torch

from latentbench import seeding


def test_seed_depends_on_every_name_and_their_order() -> None:
    seeds = {
        seeding.derive(0),
        seeding.derive(1),
        seeding.derive(0, "a"),
        seeding.derive(0, "a", 1),
        seeding.derive(0, 1, "a"),
        seeding.derive(0, "a", 2),
    }
    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seed_is_the_same_in_every_process() -> None:
    # The first 8 bytes of sha256sum of "0/pca/landmarks", without the last bit. Python's own hash would differ.
    assert seeding.derive(0, "pca", "landmarks") == 199317122838586079


def test_generators_of_one_name_agree_and_of_two_differ() -> None:
    draws = [seeding.numpy_generator(3, name).random(4) for name in ("x", "x", "y")]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    tensors = [torch.rand(4, generator=seeding.torch_generator(3, name)) for name in ("x", "x", "y")]
    assert torch.equal(tensors[0], tensors[1])
    assert not torch.equal(tensors[0], tensors[2])
