"""Muon beside torch's, and what makes its steps what they are."""

import pytest
import torch
from torch import nn

from latentbench.optimizers import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(5, 40), (40, 5), (32, 32), (1, 7)])
def test_a_step_is_nearly_orthogonal(shape: tuple[int, int]) -> None:
    """Singular values from 0.05 to 1 all come to lie around 1, and the singular vectors stay as they are."""
    generator = torch.Generator().manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    values = torch.linspace(1.0, 0.05, min(shape))
    found = orthogonalised([left * values @ right])[0]
    middle = left.mT @ found @ right.mT
    assert torch.allclose(middle, torch.diag(middle.diag()), atol=1e-4)
    assert 0.65 < middle.diag().min() <= middle.diag().max() < 1.25


@pytest.mark.parametrize("shape", [(300, 500), (500, 300)])
def test_of_many_rows_those_of_each_part_are_nearly_orthogonal(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    (found,) = orthogonalised([matrix])
    rows = found if shape[0] < shape[1] else found.mT
    assert rows.shape == (300, 500)
    given = matrix if shape[0] < shape[1] else matrix.mT
    for part, alone in zip(rows.split(100), given.split(100), strict=True):
        assert torch.allclose(part, orthogonalised([alone])[0], atol=1e-6), "another part has a say in it"
        values = torch.linalg.svdvals(part)
        assert 0.65 < values.min() <= values.max() < 1.25


def test_matrices_are_made_orthogonal_each_by_itself() -> None:
    """Parts of one shape are multiplied together, whatever matrices they are of."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(5, 40), (300, 500), (40, 5), (100, 500), (5, 40)]
    matrices = [scale * torch.randn(shape, generator=generator) for scale, shape in enumerate(shapes, start=1)]
    for matrix, found in zip(matrices, orthogonalised(matrices), strict=True):
        assert torch.allclose(found, orthogonalised([matrix])[0], atol=1e-6)


def test_steps_of_the_gram_matrix_are_those_of_the_matrix() -> None:
    """Of singular values over four orders of magnitude: small ones are not lost by squaring them."""
    left, _, right = torch.linalg.svd(torch.randn(60, 500, generator=torch.Generator().manual_seed(0)), False)
    given = left * torch.logspace(0, -4, 60) @ right
    expected = given / given.norm()
    for _ in range(5):  # as published, equation by equation
        gram = expected @ expected.mT
        expected = 3.4445 * expected + (-4.7750 * gram + 2.0315 * gram @ gram) @ expected
    assert torch.allclose(orthogonalised([given])[0], expected, atol=1e-4)
    assert expected.norm(dim=1).max() > 0.1


def test_weights_are_those_of_torch() -> None:
    """It orthogonalises in bfloat16, so they agree to its precision alone."""
    torch.manual_seed(0)
    ours, theirs = (nn.Linear(20, 30, bias=False) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    start = ours.weight.detach().clone()
    optimisers = (
        Muon([ours.weight], 0.02, weight_decay=0.1),
        torch.optim.Muon([theirs.weight], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(10):
        gradient = torch.randn(30, 20)  # another each time: without Nesterov's look ahead, the weights are 23% apart
        for network, optimiser in zip((ours, theirs), optimisers, strict=True):
            network.weight.grad = gradient.clone()
            optimiser.step()
    moved = (theirs.weight - start).norm()
    assert moved > 0.5
    assert (ours.weight - theirs.weight).norm() < 0.02 * moved


def test_kernels_are_seen_as_matrices() -> None:
    """In whatever order they lie in memory."""
    torch.manual_seed(0)
    kernel, gradient = torch.randn(6, 4, 3, 3), torch.randn(6, 4, 3, 3)
    stepped = []
    for weight in (kernel, kernel.flatten(1), kernel.contiguous(memory_format=torch.channels_last)):
        parameter = nn.Parameter(weight.clone(memory_format=torch.preserve_format))
        parameter.grad = gradient.view_as(weight) if weight.ndim == 2 else gradient.clone()
        Muon([parameter], 0.1).step()
        stepped.append(parameter.detach().reshape(6, -1))
    assert torch.allclose(stepped[0], stepped[1])
    assert torch.allclose(stepped[0], stepped[2])
    root_mean_square = (stepped[0] - kernel.flatten(1)).square().mean().sqrt() / 0.1
    assert root_mean_square == pytest.approx(0.2, rel=0.2), "of a step of Adam"
