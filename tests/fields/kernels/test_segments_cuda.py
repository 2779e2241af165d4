"""Sums by row without atomics, in Triton, against float64."""

import pytest
import torch

from fields.kernels.segments_cuda import TILE, sums


def want(rows, values, entries):
    kept = (rows >= 0) & (rows < entries)
    return torch.zeros(entries, values.shape[1]).double().index_add(0, rows[kept], values[kept].double())


@pytest.mark.parametrize(("count", "entries"), [(0, 5), (1, 5), (7, 1), (8, 3), (9, 100), (63, 2), (200, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_sums_by_row(count, entries, channels, generator, device):
    rows = torch.randint(-1, entries, (count,), generator=generator)
    values = torch.randn(count, channels, generator=generator)
    got = sums(rows.to(device), values.to(device), entries, chunk=8)
    # sums of up to 200 numbers of up to 3, in trees of pairs
    torch.testing.assert_close(got.cpu().double(), want(rows, values, entries), atol=2e-5, rtol=0)


@pytest.mark.parametrize("lengths", [[8, 8, 8], [1, 6, 1, 9], [40], [3, 100, 2, 0, 8], [16, 1, 15]])
def test_segments_that_end_at_and_cross_chunks(lengths, generator, device):
    rows = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    values = torch.randint(-9, 9, (len(rows), 2), generator=generator).float()  # their sums are exact
    mixed = torch.randperm(len(rows), generator=generator)
    got = sums(rows[mixed].to(device), values[mixed].to(device), len(lengths), chunk=8)
    torch.testing.assert_close(got.cpu().double(), want(rows, values, len(lengths)), atol=0, rtol=0)


def test_rows_outside_are_left_out(device):
    rows = torch.tensor([-1, -1, 0, 2, 3, 7, -1], device=device)
    got = sums(rows, torch.ones(7, 1, device=device), 3, chunk=4)
    assert got[:, 0].tolist() == [1, 0, 1]


def test_the_order_of_additions_is_that_of_the_rows(generator, device):
    """Contributions of one entry come in the order they have; what else lies between them changes nothing."""
    values = torch.randn(30, 2, generator=generator) * 10 ** torch.randn(30, 1, generator=generator)
    once = sums(torch.zeros(30, dtype=torch.int64, device=device), values.to(device), 1, chunk=64)
    rows = torch.zeros(60, dtype=torch.int64)
    rows[1::2] = 1
    both = torch.full((60, 2), 7.0)
    both[::2] = values
    for _ in range(2):
        assert torch.equal(sums(rows.to(device), both.to(device), 2, chunk=64)[0], once[0])


def launches():
    """For tests/compiled.py."""
    for channels in (1, 2, 4, 8, 32):
        values = torch.zeros(2 * TILE, channels)
        sums(torch.zeros(2 * TILE, dtype=torch.int64), values, 10)
