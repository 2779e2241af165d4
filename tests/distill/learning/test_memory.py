"""Memory that a preset takes, told before training."""

import pytest
import torch

import fields
from distill.learning import memory
from fields import shape, tiled
from fields.shape import Shape, preset
from fields.space import CUBE, Space

CPU = torch.device("cpu")


def test_a_preset_that_fits_passes_and_one_that_does_not_is_told_with_the_estimate(monkeypatch):
    config = preset("hashgrid", "small")
    parameters = config.parameters
    monkeypatch.setattr(memory, "free", lambda device: memory.needed(parameters))
    memory.check(config, "small", CPU)
    monkeypatch.setattr(memory, "free", lambda device: memory.needed(parameters) - 1)
    with pytest.raises(ValueError, match=r"hashgrid preset 'small' needs about 1\.2 GB to train \(3\.1 M parameters\)"):
        memory.check(config, "small", CPU)


def test_the_machine_says_what_is_free():
    assert 1 << 26 < memory.free(CPU) < 1 << 46


@pytest.mark.parametrize("name", fields.NAMES)
def test_the_count_is_that_of_a_built_field(name, generator):
    module = fields.module(name)
    config = module.Network.final(module.PRESETS["tiny"])
    built = sum(p.numel() for p in Shape(name, config).build(CUBE, generator).parameters())
    assert Shape(name, config).parameters == built


@pytest.mark.parametrize("name", fields.NAMES)
def test_activations_stay_below_the_estimate(name, generator, monkeypatch):
    monkeypatch.setattr(shape, "TRITON", False)  # op by op
    monkeypatch.setattr(tiled, "form", lambda owner: None)
    module = fields.module(name)
    config, box = module.Network.final(module.PRESETS["tiny"]), torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    field, kept = Shape(name, config).build(Space(box), generator), {}

    def keep(tensor):
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    def bytes_of(count):
        x, d = torch.rand(count, 3, generator=generator), torch.ones(count, 3) / 3**0.5
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                answer = field.radiance(x, d)
            del answer
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())

    each = (bytes_of(16384) - bytes_of(8192)) / 8192
    most = Shape(name, config).activation_bytes[1]
    assert 0.3 * most < each <= most


def test_a_fused_field_keeps_little(monkeypatch):
    config = preset("hashgrid", "base")
    monkeypatch.setattr(shape, "TRITON", False)
    slow = memory.demand(config)
    monkeypatch.setattr(shape, "TRITON", True)  # a PyTorch for GPUs
    fast = memory.demand(config, 1 << 18, 100 * 800 * 800 * 4)
    assert slow.step > 3 * fast.step
    assert fast.learning == 18 * 12_249_072
    assert fast.tensors < 1 << 30  # the figure of nerfacc is 971 MiB
    assert memory.demand(config, 1 << 19).step > 1.5 * fast.step


def test_what_a_run_takes_is_one_line():
    need = memory.Demand(200_000_000, 400_000_000, 150_000_000, 256_000_000)
    line = memory.told(need, 140_000_000_000)
    assert line == (
        "memory: about 1.42 of 140.0 GB that are free on the GPU: 0.20 GB field and optimiser, 0.40 GB states to "
        "return to, 0.30 GB steps, 0.26 GB photographs"
    )
    assert memory.told(memory.Demand(1, 1, 1, 0), 1).endswith("photographs stay on the host")


def test_a_run_on_the_cpu_is_not_told_and_one_on_a_gpu_is(monkeypatch):
    config = preset("mlp", "tiny")
    monkeypatch.setattr(memory, "free", lambda device: 4_000_000_000)
    assert memory.lines(config, CPU, 1 << 18, 10**9) == []
    assert "1.00 GB photographs" in memory.lines(config, torch.device("cuda"), 1 << 18, 10**9)[0]
    assert "photographs stay" in memory.lines(config, torch.device("cuda"), 1 << 18, 1 + 10**9)[0]


def test_photographs_go_where_they_leave_room():
    assert memory.images_fit(250, 1000)
    assert not memory.images_fit(251, 1000)


def test_a_preset_that_does_not_fit_on_a_gpu_is_told_with_the_batch(monkeypatch):
    config = preset("mlp", "base")
    want = memory.demand(config, 1 << 18).total
    monkeypatch.setattr(memory, "free", lambda device: want)
    memory.check(config, "base", torch.device("cuda"), 1 << 18)
    monkeypatch.setattr(memory, "free", lambda device: want - 1)
    memory.check(config, "base", torch.device("cuda"), 1 << 17)
    with pytest.raises(ValueError, match=r"on cuda: take a smaller preset, or a smaller --batch than 262144$"):
        memory.check(config, "base", torch.device("cuda"), 1 << 18)
