"""Whole fields, timed: each row says which kernels were asked."""

import pytest
import torch

from distill.bench.field import prepare_evaluation, scatter_points
from fields import tiled
from fields.shape import preset
from fields.space import CUBE


@pytest.mark.parametrize("way", ["tiled", "op by op"])
def test_an_evaluation_says_who_answers(way, monkeypatch, generator):
    field = preset("hashgrid", "tiny").build(CUBE, generator)
    x, d = scatter_points(100, generator)
    asked = []
    radiance = tiled.radiance
    monkeypatch.setattr(tiled, "radiance", lambda *given: asked.append(1) or radiance(*given))
    if way == "op by op":
        monkeypatch.setattr(tiled, "suits", lambda *_: False)
    evaluation = prepare_evaluation(field, x, d)
    sigma, rgb = evaluation.radiance()
    assert evaluation.way == way and bool(asked) == (way == "tiled")
    assert evaluation.number_bytes == 4 and sigma.shape == (100,) and rgb.shape == (100, 3)
    torch.testing.assert_close(sigma, field.thickness(x), rtol=2e-2, atol=1e-3)
