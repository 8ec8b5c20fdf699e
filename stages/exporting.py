"""Trained encoders and decoders as ONNX files."""

import copy

import torch
from torch import nn

from latentbench import artifacts, inference
from latentbench.networks import export
from stages import paths
from stages.fitting import Run

_N_CHECKED = 256  # validation images on which an exported network is compared with the trained one


def export_coder(run: Run, row: str, network: export.Coder) -> None:
    """Write a network's two halves as `encoder.onnx` and `decoder.onnx` beside its weights.

    Raises:
        ExportError: one of them does not compute on real images what the network does.
    """
    on_cpu = copy.deepcopy(network)
    assert isinstance(on_cpu, nn.Module)
    on_cpu.cpu().eval()
    chosen = run.dataset.validation_index[:_N_CHECKED]
    images = inference.to_unit(torch.tensor(run.dataset.train_images[chosen]))
    with torch.no_grad():
        latents = on_cpu.encode(images)
    for part, module, inputs, names in (
        ("encoder", export.Encoder(on_cpu), images, ("images", "latents")),
        ("decoder", export.Decoder(on_cpu), latents, ("latents", "images")),
    ):
        model = export.to_onnx(module, inputs, *names)
        export.check(f"the {part} of {row}", model, module, inputs)
        run.checkpoint.check_ancestors()
        artifacts.write_bytes(paths.model(row) / f"{part}.onnx", model)
