"""Run every stage of dvc.yaml in this one process, without DVC, and note which params each one reads.

`python -m tests.pipeline.all_stages RECORDS` in a workspace; RECORDS gets a file of keys for each stage. Imports are
paid once, and a stage that leaned on what another left in memory would give other bytes than its run through DVC.
"""

import json
import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ORDER = (
    "download",
    "preprocess",
    "classifier",
    "pca",
    "isomap",
    "ae",
    "vae",
    "latent_explore",
    "diffusion",
    "diffusion_explore",
    "judge_limits",
    "judge_vae",
    "judge_diffusion",
    "evaluate",
    "explorer_libraries",
    "explorer",
)
ELSEWHERE = "explorer_libraries"  # needs the network: a workspace has its output from the project


def filled(pipeline: dict[str, Any], params: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the full name and the definition of every run, matrices and params filled in."""
    for stage in ORDER:
        definition = pipeline["stages"][stage]
        for item, values in definition.get("matrix", {"": [""]}).items():
            for value in values:
                text = json.dumps(definition).replace(f"${{item.{item}}}", value)
                text = text.replace("${diffusion.preset}", params["diffusion"]["preset"])
                yield f"{stage}@{value}".rstrip("@"), json.loads(text)


def runs(pipeline: dict[str, Any], params: dict[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the full name, the command and the declared params of every run."""
    for name, definition in filled(pipeline, params):
        yield name, definition["cmd"], definition.get("params", [])


def main() -> None:
    """Run them all."""
    records = Path(sys.argv[1]).resolve()
    pipeline = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    for name, command, _ in runs(pipeline, params):
        if name == ELSEWHERE:
            continue
        _, _, module, *arguments = command.split()  # python -m stages.<name> ...
        os.environ["LATENTBENCH_RECORD_PARAMS"] = str(records / name)
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main()
