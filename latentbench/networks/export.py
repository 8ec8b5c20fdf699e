"""Networks as ONNX files, which run without this project and without torch."""

import copy
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from latentbench.core.errors import LatentbenchError

if TYPE_CHECKING:
    import onnx

OPSET = 18  # the one that torch translates to without a conversion
LARGEST_DIFFERENCE = 1e-5

_BATCH = 100

# At every export it warns that torchvision, whose operators nothing here uses, is not installed.
logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)


# Maps inputs (n, ...) each to which outputs (n, ...) cannot jump through rounding.
Settled = Callable[..., Tensor]


class ExportError(LatentbenchError):
    """An exported network differs from the trained one."""


class Coder(Protocol):
    """What autoencoders and VAEs have in common."""

    def encode(self, images: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to latents (n, latent_dim)."""

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to images (n, c, h, w) in [0, 1]."""


@runtime_checkable
class Jumping(Protocol):
    """What an encoder also has if its outputs jump between values: near a jump, rounding may decide."""

    def settled(self, images: Tensor) -> Tensor:
        """Return which latents of images (n, c, h, w) rounding cannot make jump, (n, latent_dim) bool."""


class Encoder(nn.Module):
    """The first half of an autoencoder or VAE, as a separate module."""

    def __init__(self, network: Coder) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, c, h, w) float32 in [0, 1] to latents (n, latent_dim), for a VAE the posterior means."""
        return self.network.encode(images)


class Decoder(nn.Module):
    """The second half of an autoencoder or VAE, as a separate module."""

    def __init__(self, network: Coder) -> None:
        super().__init__()
        self.network = network

    def forward(self, latents: Tensor) -> Tensor:
        """Map latents (n, latent_dim) float32 to images (n, c, h, w) in [0, 1]."""
        return self.network.decode(latents)


def to_onnx(module: nn.Module, examples: Mapping[str, Tensor], output: str) -> bytes:
    """Return the ONNX file of a module in evaluation mode: for batches of any size, with all its weights inside.

    Equal weights give equal bytes, whatever the values of the examples, the memory layout of the weights and the
    working folder.

    Args:
        module: takes tensors and returns one, each with the batch as first axis; it is not changed.
        examples: its inputs (n, ...) in order, by their names in the file; only their shapes after the batch and their
            dtypes matter. The first axis is called "n".
        output: the name of the output in the file.
    """
    import onnx

    evaluated = copy.deepcopy(module).eval().cpu()
    evaluated.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # not in torch's annotations
    # A batch of one would be treated as a constant, and a network may take a logarithm.
    blanks = tuple(torch.ones((2, *example.shape[1:]), dtype=example.dtype) for example in examples.values())
    n = torch.export.Dim("n")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "# The axis name: n will not be used")  # for the second input: it is the same
        # torch itself uses it when it copies its graph
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        program = torch.onnx.export(
            evaluated,
            blanks,
            input_names=list(examples),
            output_names=[output],
            opset_version=OPSET,
            dynamic_shapes=tuple({0: n} for _ in blanks),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _strip(model)
    model.producer_name, model.producer_version = "latentbench", ""
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _runtime() -> ModuleType:
    """Return onnxruntime, which only this function imports.

    It reports its use to its makers, and keeps an identifier for that under the home folder, unless an environment
    variable is set when it is first imported.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    module: ModuleType = onnxruntime
    return module


def session(model: bytes) -> Any:
    """Open an ONNX file with onnxruntime, on one thread of the CPU.

    Raises:
        ExportError: it is not an ONNX file, or names other files for weights, which could be any on this machine.
    """
    import onnx

    onnxruntime = _runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        outside = sorted(_outside(onnx.load_from_string(model)))
        if outside:
            raise ExportError(f"the file lacks the weights {', '.join(outside)}")
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except ExportError:
        raise
    except Exception as error:  # onnxruntime has a dozen exceptions, with no common base
        raise ExportError(f"onnxruntime cannot open the file: {error}") from error


def largest_difference(
    model: bytes, function: Callable[..., Tensor], inputs: Sequence[Tensor], settled: Settled | None = None
) -> float:
    """Compare an ONNX file, run by onnxruntime, with a function of torch.

    Args:
        model: what `to_onnx` returned.
        function: what it should compute, on the CPU and in evaluation mode.
        inputs: on which they are compared, in batches, (n, ...) each and in order.
        settled: which outputs are compared; None for all.

    Returns:
        The largest absolute difference between their outputs, divided by the largest absolute value of `function`
        where that is above 1, since float32 keeps seven digits and not seven decimals. Infinity where shapes differ,
        NaN where an output is not a number.
    """
    runtime = session(model)
    names = [each.name for each in runtime.get_inputs()]
    differences, scales = [], [torch.tensor(1.0)]
    for batch in zip(*(each.split(_BATCH) for each in inputs), strict=True):
        with torch.no_grad():
            expected = function(*batch)
        given = {name: each.numpy() for name, each in zip(names, batch, strict=True)}
        found = torch.from_numpy(runtime.run(None, given)[0])
        if found.shape != expected.shape:
            return math.inf
        apart = (found - expected).abs()
        differences.append((apart if settled is None else apart * settled(*batch)).max())
        scales.append(expected.abs().max())
    return float(torch.stack(differences).max() / torch.stack(scales).max())


def check(
    name: str, model: bytes, function: Callable[..., Tensor], *inputs: Tensor, settled: Settled | None = None
) -> None:
    """Make sure that an ONNX file is complete and computes what it should.

    Args:
        name: of what was exported, for the message.
        model, function, inputs, settled: as `largest_difference` takes them.

    Raises:
        ExportError: some of its weights are not in the file, or it differs from `function` on `inputs` by more than
            `LARGEST_DIFFERENCE`; the message says by how much.
    """
    try:
        difference = largest_difference(model, function, inputs, settled)
    except ExportError as error:
        raise ExportError(f"{name}: {error}") from error
    if not difference <= LARGEST_DIFFERENCE:  # NaN included
        raise ExportError(
            f"{name}: the exported network differs from the trained one by {difference:.3g} of its largest output, "
            f"which should be at most {LARGEST_DIFFERENCE:g}"
        )


def _outside(message: "onnx.ModelProto") -> Iterator[str]:
    """Yield the names of the tensors in a protobuf message, however deep, whose values are in another file."""
    import onnx
    from onnx.external_data_helper import uses_external_data

    if isinstance(message, onnx.TensorProto):
        if uses_external_data(message):
            yield message.name or "without a name"
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                yield from _outside(part)


def _strip(message: "onnx.ModelProto") -> None:
    """Clear where the parts of a protobuf message came from, at every depth: source paths, for example."""
    for name in ("metadata_props", "doc_string"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                _strip(part)
