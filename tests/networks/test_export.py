"""Exported networks are those that torch runs, at every batch size, in files that tell nothing of where they arose."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.external_data_helper import set_external_data
from torch import Tensor, nn

from latentbench.networks import export
from latentbench.networks.autoencoders import base as autoencoders
from latentbench.networks.vaes import base as vaes
from tests.imports import imported_modules

# A process of its own exports what the fixture `encoder` does, and prints what is the same or not.
EXPORT_AND_HASH = """
import hashlib, torch
from latentbench.networks import export
from latentbench.networks.autoencoders import base as autoencoders
torch.manual_seed(3)
encoder = export.Encoder(autoencoders.build("conv", (1, 20, 13), 5).eval())
model = export.to_onnx(encoder, {"images": torch.zeros(4, 1, 20, 13)}, "latents")
export.check("it", model, encoder, torch.zeros(4, 1, 20, 13))
print(hashlib.sha256(model).hexdigest())
"""


@pytest.fixture(scope="module")
def encoder() -> bytes:
    """Return an exported encoder of images (1, 20, 13) to 5 latents."""
    torch.manual_seed(3)
    module = export.Encoder(autoencoders.build("conv", (1, 20, 13), 5).eval())
    return export.to_onnx(module, {"images": torch.zeros(4, 1, 20, 13)}, "latents")


class Line(nn.Module):
    """Two numbers times a weight each, plus a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.tensor([3.0, -2.0])), nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias, x, self.weight)


@pytest.fixture(scope="module")
def line() -> bytes:
    """Return the exported `Line`."""
    return export.to_onnx(Line(), {"x": torch.zeros(3, 2)}, "y")


def run(model: bytes, batch: Tensor) -> np.ndarray:
    runtime = export.session(model)
    (found,) = runtime.run(None, {runtime.get_inputs()[0].name: batch.numpy()})
    return np.asarray(found)


@pytest.mark.parametrize(
    ("family", "architecture", "image_shape", "latent_dim", "kind"),
    [
        (autoencoders, "dense", (1, 28, 28), 64, {}),
        (autoencoders, "conv", (1, 28, 28), 5, {}),
        (autoencoders, "conv", (1, 20, 13), 2, {}),
        (autoencoders, "conv", (3, 20, 13), 5, {}),
        (vaes, "dense", (1, 20, 13), 1, {}),
        (vaes, "conv", (1, 28, 28), 64, {}),
        (vaes, "conv", (1, 20, 13), 2, {"likelihood": "discretized_logistic"}),
        (vaes, "residual", (3, 20, 13), 5, {"likelihood": "discretized_logistic"}),
        (vaes, "conv", (1, 20, 13), 5, {"likelihood": "autoregressive_logistic"}),
    ],
)
def test_any_batch_of_real_images_comes_out_as_from_torch(
    images: np.ndarray,
    family: Any,
    architecture: str,
    image_shape: tuple[int, int, int],
    latent_dim: int,
    kind: dict[str, str],
) -> None:
    channels, height, width = image_shape
    left = (28 - width) // 2
    shown = images[: 256 * channels].reshape(256, channels, 28, 28)
    real = torch.tensor(shown[:, :, :height, left : left + width]) / 255
    network = family.build(architecture, image_shape, latent_dim, **kind)
    with torch.no_grad():
        network.train()(real)  # moves the running means of batch norm
        network.eval().to(memory_format=torch.channels_last)
        latents = network.encode(real)
        latents *= 50 / latents.std()  # untrained decoders hardly tell small ones apart
    for module, inputs, names in (
        (export.Encoder(network), real, ("images", "latents")),
        (export.Decoder(network), latents, ("latents", "images")),
    ):
        model = export.to_onnx(module, {names[0]: inputs[:1]}, names[1])
        export.check("it", model, module, inputs)
        with torch.no_grad():
            expected = module(inputs).numpy()
        for n in (1, 7, 256):
            assert np.allclose(run(model, inputs[:n]), expected[:n], rtol=1e-5, atol=1e-5)
    assert expected.shape == real.shape
    assert expected.std(axis=0).max() > 0.1


def test_the_file_says_what_goes_in_and_out_and_nothing_of_its_origin(root: Path, encoder: bytes) -> None:
    model = onnx.load_from_string(encoder)
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"images": ["n", 1, 20, 13], "latents": ["n", 5]}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", export.OPSET)]
    assert (model.producer_name, model.producer_version) == ("latentbench", "")
    for trace in (str(root), str(Path.cwd()), sys.prefix, "site-packages", ".py", "torch", "metadata", "forward"):
        assert trace.encode() not in encoder, trace


def test_equal_weights_give_equal_bytes_whatever_the_example_the_memory_and_the_mode(encoder: bytes) -> None:
    torch.manual_seed(3)
    network = autoencoders.build("conv", (1, 20, 13), 5).train()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = export.Encoder(network)
    assert export.to_onnx(module, {"images": torch.rand(1, 1, 20, 13)}, "latents") == encoder
    assert network.training, "the module is not left as it was"


def test_a_process_in_another_folder_gives_equal_bytes_and_leaves_nothing_at_home(
    root: Path, encoder: bytes, tmp_path: Path
) -> None:
    # Where these are set, onnxruntime may collect nothing anyway, and the test would see nothing.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(root), "PYTHONHASHSEED": "1"}
    process = subprocess.run(
        [sys.executable, "-c", EXPORT_AND_HASH],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.stdout, process.stderr) == (f"{hashlib.sha256(encoder).hexdigest()}\n", "")
    assert list(tmp_path.iterdir()) == []


def test_onnxruntime_is_imported_where_its_reports_are_off_and_nowhere_else(root: Path) -> None:
    folders = ("latentbench", "stages", "tests", "benchmarks", "tools")
    files = [path for folder in folders for path in (root / folder).rglob("*.py")]
    importing = [path for path in files if any(name.split(".")[0] == "onnxruntime" for name in imported_modules(path))]
    assert importing == [root / "latentbench" / "networks" / "export.py"]
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def altered(content: bytes, name: str, change: float) -> bytes:
    """Return the model with `change` added to the first of the weights of that name."""
    model = onnx.load_from_string(content)
    (tensor,) = (each for each in model.graph.initializer if each.name == name)
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.flat[0] += change
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))
    return bytes(model.SerializeToString())


def test_the_difference_is_the_largest_and_relative_to_outputs_above_one(line: bytes) -> None:
    inputs = torch.zeros(250, 2)
    assert export.largest_difference(line, Line(), [inputs]) == 0
    off = altered(line, "bias", -0.25)
    assert export.largest_difference(off, Line(), [inputs]) == pytest.approx(0.25)
    inputs[-1] = torch.tensor([0.1, 2.0])
    assert export.largest_difference(off, Line(), [inputs]) == pytest.approx(0.25 / 4)


def test_a_wrong_file_is_refused_with_its_name_the_difference_and_the_bound(line: bytes) -> None:
    inputs = torch.full((3, 2), 0.1)
    export.check("it", altered(line, "bias", 5e-6), Line(), inputs)
    with pytest.raises(export.ExportError, match=r"^the encoder of ae_dense: .* by 2e-05 .* at most 1e-05$"):
        export.check("the encoder of ae_dense", altered(line, "bias", 2e-5), Line(), inputs)
    with pytest.raises(export.ExportError, match="by nan"):
        export.check("it", altered(line, "bias", np.nan), Line(), inputs)
    with pytest.raises(export.ExportError, match="by inf"):
        export.check("it", line, lambda x: Line()(x).sum(dim=1, keepdim=True), inputs)


def initializer(model: onnx.ModelProto) -> onnx.TensorProto:
    return next(each for each in model.graph.initializer if each.name == "weight")


def constant(model: onnx.ModelProto) -> onnx.TensorProto:
    node = model.graph.node.add(op_type="Constant", output=["unused"])
    attribute = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    attribute.t.CopyFrom(onnx.numpy_helper.from_array(np.ones(2, dtype=np.float32), "hidden"))
    return attribute.t


def constant_of_a_branch(model: onnx.ModelProto) -> onnx.TensorProto:
    node = model.graph.node.add(op_type="If", input=["unused"], output=["unused too"])
    branch = node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g
    branch.initializer.append(onnx.numpy_helper.from_array(np.ones(2, dtype=np.float32), "deep"))
    return branch.initializer[0]


@pytest.mark.parametrize("find", [initializer, constant, constant_of_a_branch])
@pytest.mark.parametrize("way", ["elsewhere.bin", "../secret", "/{}", "./a/../../secret", "secret"])
def test_a_file_that_names_another_one_is_refused_and_that_one_not_read(
    line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, find: Any, way: str
) -> None:
    (tmp_path / "inside").mkdir()
    secret = np.array([41.0, 43.0], dtype=np.float32)
    for folder in (tmp_path, tmp_path / "inside"):
        (folder / "secret").write_bytes(secret.tobytes())
    monkeypatch.chdir(tmp_path / "inside")
    model = onnx.load_from_string(line)
    tensor = find(model)
    set_external_data(tensor, way.format(str(tmp_path / "secret")[1:]))
    tensor.ClearField("raw_data")
    with pytest.raises(export.ExportError, match=f"^the file lacks the weights {tensor.name}$"):
        export.session(model.SerializeToString())
    with pytest.raises(export.ExportError, match=f"^it: the file lacks the weights {tensor.name}$"):
        export.check("it", model.SerializeToString(), Line(), torch.zeros(3, 2))


@pytest.mark.parametrize("content", [b"", b"\0" * 50, b"ORTM" * 20, b"\x80\x04N."])
def test_what_is_no_onnx_file_is_told(content: bytes) -> None:
    with pytest.raises(export.ExportError, match="onnxruntime cannot open the file: "):
        export.session(content)


def test_a_library_of_operators_is_not_loaded(line: bytes) -> None:
    model = onnx.load_from_string(line)
    model.graph.node[0].domain, model.graph.node[0].op_type = "../canary", "Run"
    with pytest.raises(export.ExportError, match="canary"):
        export.session(model.SerializeToString())
