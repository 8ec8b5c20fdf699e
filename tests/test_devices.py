"""Which number format products are computed in, and that it is the one that was asked for."""

import pytest
import torch

from latentbench import devices

CPU, MPS = torch.device("cpu"), torch.device("mps")


@pytest.mark.parametrize(("avx512", "amx"), [(False, False), (True, False), (False, True)])
def test_auto_is_bfloat16_where_a_cpu_multiplies_in_it(
    monkeypatch: pytest.MonkeyPatch, avx512: bool, amx: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert devices.precision("auto", CPU) == ("bfloat16" if avx512 or amx else "float32")
    assert devices.precision("auto", MPS) == "float32"
    assert devices.precision("bfloat16", CPU) == "bfloat16"
    assert devices.precision("float32", CPU) == "float32"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")])
def test_auto_is_bfloat16_on_gpus_that_multiply_in_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    assert devices.precision("auto", torch.device("cuda", 0)) == expected


def test_products_have_the_precision() -> None:
    matrix = torch.randn(4, 4)
    for precision in ("float32", "bfloat16"):
        with devices.products(CPU, precision):
            assert (matrix @ matrix).dtype == getattr(torch, precision)
            assert (matrix + matrix).dtype == torch.float32
