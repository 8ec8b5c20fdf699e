"""How a recipe becomes a plan for the images that there are."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from latentbench.params.base import validate
from latentbench.params.training import Training
from stages import trainings

RECIPE = {
    "images": 1000,
    "batch_size": 10,
    "optimizer": "adamw",
    "learning_rate": 1e-2,
    "schedule": "cosine",
    "warmup_share": 0.1,
    "weight_decay": 0.0,
    "clip_norm": None,
    "patience": 3,
    "min_delta": 0.0,
}


def run_of(n_images: int, budget: float) -> Any:
    return SimpleNamespace(
        project=SimpleNamespace(budget=budget), dataset=SimpleNamespace(fit_index=np.arange(n_images))
    )


@pytest.mark.parametrize(("n_images", "budget", "epochs"), [(500, 1.0, 2), (2000, 1.0, 0.5), (500, 0.25, 0.5)])
def test_as_many_images_are_seen_whatever_the_dataset_has(n_images: int, budget: float, epochs: float) -> None:
    plan = trainings.plan(cast("trainings.Run", run_of(n_images, budget)), validate(Training, RECIPE))
    assert (plan.epochs, plan.warmup_steps) == (epochs, round(0.1 * budget * 100))
    assert plan.learning_rate == 1e-2


def test_shorter_steps_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    plan = trainings.plan(cast("trainings.Run", run_of(500, 1.0)), validate(Training, RECIPE), step_scale=0.25)
    assert plan.learning_rate == 2.5e-3
    assert "learning_rate: 0.01 is for images of 784 values; using 0.0025" in capsys.readouterr().err
