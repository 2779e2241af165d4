"""PSNR and SSIM against values known by hand and against a plain NumPy version."""

import json
import math

import numpy as np
import pytest
import torch

from render.metrics import Protocol, Quality, Score, psnr, score, ssim

PROTOCOL = Protocol("test", (1.0, 1.0, 1.0), (20, 16), 2)


def pictures(height=16, width=20, seed=3):
    generator = torch.Generator().manual_seed(seed)
    want = torch.rand(height, width, 3, generator=generator)
    return (want + 0.1 * torch.randn(height, width, 3, generator=generator)).clamp(0, 1), want


def slow_ssim(x, y):
    """One window after the other, as Wang et al. 2004 define it."""
    offsets = np.arange(11) - 5
    weight = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weight /= weight.sum()
    values = []
    for i in range(x.shape[0] - 10):
        for j in range(x.shape[1] - 10):
            for c in range(3):
                a, b = x[i : i + 11, j : j + 11, c], y[i : i + 11, j : j + 11, c]
                ma, mb = (weight * a).sum(), (weight * b).sum()
                va, vb = (weight * (a - ma) ** 2).sum(), (weight * (b - mb) ** 2).sum()
                cov = (weight * (a - ma) * (b - mb)).sum()
                values.append((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    return np.mean(values)


def test_psnr_of_a_known_difference():
    want = torch.full((4, 5, 3), 0.5)
    assert psnr(want + 0.1, want) == pytest.approx(20, abs=1e-5)  # float32 rounding of 0.6
    assert psnr(torch.zeros(4, 5, 3), torch.ones(4, 5, 3)) == 0
    assert psnr(want, want) == math.inf


def test_psnr_is_the_mean_squared_error_in_db():
    got, want = pictures()
    error = np.mean((got.numpy().astype(np.float64) - want.numpy()) ** 2)
    assert psnr(got, want) == pytest.approx(-10 * np.log10(error), rel=1e-12)


def test_masked_pixels_count_for_nothing():
    got, want = pictures()
    valid = torch.ones(16, 20, dtype=torch.bool)
    valid[:4] = False
    wild = got.clone()
    wild[:4] = 7.0
    assert psnr(wild, want, valid) == pytest.approx(psnr(got[4:], want[4:]), rel=1e-12)
    filled = got.clone()
    filled[:4] = want[:4]
    assert ssim(wild, want, valid) == ssim(filled, want)
    with pytest.raises(ValueError, match="all are masked"):
        psnr(got, want, torch.zeros(16, 20, dtype=torch.bool))
    assert psnr(got, want, torch.ones((), dtype=torch.bool).expand(16, 20)) == psnr(got, want)


@pytest.mark.parametrize("size", [(11, 11), (11, 30), (16, 20)])
def test_ssim_against_the_definition(size):
    got, want = pictures(*size)
    slow = slow_ssim(got.double().numpy(), want.double().numpy())
    assert ssim(got, want) == pytest.approx(slow, abs=1e-10)  # float64 on both sides; variance by another formula


def test_ssim_known_values():
    _, want = pictures()
    assert ssim(want, want) == pytest.approx(1, abs=1e-12)
    dark, light = torch.full((12, 12, 3), 0.25), torch.full((12, 12, 3), 0.75)
    assert ssim(dark, light) == pytest.approx((2 * 0.1875 + 1e-4) / (0.0625 + 0.5625 + 1e-4), abs=1e-9)
    assert ssim(1 - want, want) < 0


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(torch.zeros(10, 40, 3), torch.zeros(10, 40, 3))
    with pytest.raises(ValueError, match="two pictures"):
        psnr(torch.zeros(4, 4, 3), torch.zeros(4, 5, 3))
    with pytest.raises(ValueError, match="two pictures"):
        psnr(torch.zeros(4, 4), torch.zeros(4, 4))
    with pytest.raises(ValueError, match="mask"):
        psnr(torch.zeros(4, 4, 3), torch.zeros(4, 4, 3), torch.ones(5, 4, dtype=torch.bool))


def test_a_picture_too_small_for_ssim_still_has_a_psnr():
    small = torch.zeros(4, 4, 3)
    result = score("a.png", small + 0.1, small)
    assert result.psnr == pytest.approx(20, abs=1e-5)
    assert math.isnan(result.ssim)


def test_report_takes_means_and_survives_json():
    quality = Quality((Score("a.png", 30.0, 0.9), Score("b.png", 20.0, 0.7)), PROTOCOL)
    assert (quality.psnr, quality.ssim) == (25.0, pytest.approx(0.8))
    assert Quality.from_record(json.loads(json.dumps(quality.to_record(), allow_nan=False))) == quality
    assert str(PROTOCOL) == "2 test pictures, 20 x 16, on background 1 1 1, sRGB values"


def test_equal_pictures_leave_no_infinity_in_json():
    quality = Quality((Score("a.png", math.inf, 1.0), Score("b.png", 20.0, math.nan)), PROTOCOL)
    record = json.loads(json.dumps(quality.to_record(), allow_nan=False))
    assert (record["psnr"], record["ssim"], record["images"][0]["psnr"]) == ("inf", "nan", "inf")
    assert Quality.from_record(record).psnr == math.inf


def test_damaged_records_and_empty_reports_are_refused():
    with pytest.raises(ValueError, match="metrics record is damaged"):
        Quality.from_record({"images": []})
    with pytest.raises(ValueError, match="no pictures"):
        _ = Quality((), PROTOCOL).psnr
