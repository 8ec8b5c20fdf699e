"""Trained networks as ONNX files."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from latentbench import inference
from latentbench.core import artifacts
from latentbench.networks import export
from stages import paths
from stages.trainings import Run

N_CHECKED = 256  # validation images on which an exported network is compared with the trained one


def write(
    run: Run,
    row: str,
    part: str,
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    output: str,
    settled: export.Settled | None = None,
) -> None:
    """Write a module as `<part>.onnx` beside the weights of a row.

    Args:
        run: of the stage.
        row, part: names.
        module: in evaluation mode, on the CPU.
        inputs: by name, on which the file is compared with the module.
        output: the output's name.
        settled: as `export.check` takes it.

    Raises:
        ExportError: the file does not compute what the module does.
    """
    model = export.to_onnx(module, inputs, output)
    export.check(f"the {part} of {row}", model, module, *inputs.values(), settled=settled)
    run.checkpoint.check_ancestors()
    artifacts.write_bytes(paths.model(row) / f"{part}.onnx", model)


def export_coder(run: Run, row: str, network: export.Coder) -> None:
    """Write a network's two halves as `encoder.onnx` and `decoder.onnx` beside its weights.

    Raises:
        ExportError: one of them does not compute on real images what the network does.
    """
    on_cpu = copy.deepcopy(network)
    assert isinstance(on_cpu, nn.Module)
    on_cpu.cpu().eval()
    chosen = run.dataset.validation_index[:N_CHECKED]
    images = inference.to_unit(torch.tensor(run.dataset.train_images[chosen]))
    with torch.no_grad():
        latents = on_cpu.encode(images)
    settled = on_cpu.settled if isinstance(on_cpu, export.Jumping) else None
    write(run, row, "encoder", export.Encoder(on_cpu), {"images": images}, "latents", settled)
    write(run, row, "decoder", export.Decoder(on_cpu), {"latents": latents}, "images")
