"""Memory that a preset takes, told before training."""

import pytest
import torch

import fields
from distill import memory

CPU = torch.device("cpu")


def test_a_preset_that_fits_passes_and_one_that_does_not_is_told_with_the_estimate(monkeypatch):
    config = fields.module("hashgrid").PRESETS["small"]
    parameters = memory.parameter_count("hashgrid", config)
    monkeypatch.setattr(memory, "free", lambda device: memory.needed(parameters))
    memory.check("hashgrid", "small", config, CPU)
    monkeypatch.setattr(memory, "free", lambda device: memory.needed(parameters) - 1)
    with pytest.raises(ValueError, match=r"hashgrid preset 'small' needs about 1\.2 GB to train \(3\.1 M parameters\)"):
        memory.check("hashgrid", "small", config, CPU)


def test_the_machine_says_what_is_free():
    assert 1 << 26 < memory.free(CPU) < 1 << 46


@pytest.mark.parametrize("name", fields.NAMES)
def test_the_count_is_that_of_a_built_field(name, generator):
    module = fields.module(name)
    config = module.Network.final(module.PRESETS["tiny"])
    network = module.Network(config, 3, generator)
    built = sum(p.numel() for part in (network, network.head(generator)) for p in part.parameters())
    assert memory.parameter_count(name, config) == built
