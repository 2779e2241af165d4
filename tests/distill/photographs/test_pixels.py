"""Pixels of photographs: those of their rays, wherever they lie, and the same after a resume."""

import pytest
import torch

from distill.photographs.pixels import AHEAD, AheadPixels, DevicePixels, HostPixels, unwaiting_pixels
from render.camera import Camera, Intrinsics, look_at
from scenes.scene import View

COUNT = 400


def view(size, seed, mask=None):
    width, height = size
    image = torch.randint(0, 256, (height, width, 4), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    pose = look_at(torch.tensor([3.0, seed, 1.0]), torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))
    lens = Intrinsics(50, 60, width / 2, height / 2, radial=(0.01 * (seed > 0), 0.0, 0.0, 0.0))
    everywhere = torch.ones((), dtype=torch.bool).expand(height, width)
    return View(Camera(pose, lens, size), image, everywhere if mask is None else mask, "v")


def views(*, masked=True):
    mask = torch.zeros(7, 5, dtype=torch.bool)
    mask[:, :2] = True
    return view((8, 4), 0), view((5, 7), 1, mask if masked else None), view((5, 7), 2)


def places(views, batch):
    """View, row and column of each pixel, found by its ray."""
    found = torch.zeros(len(batch.alpha), 3, dtype=torch.int64)
    for index, one in enumerate(views):
        rays, width = one.camera.rays(), one.camera.size[0]
        hit = (rays.origins[None] - batch.rays.origins[:, None].cpu()).abs().amax(-1) < 1e-6
        hit &= (rays.directions[None] - batch.rays.directions[:, None].cpu()).abs().amax(-1) < 1e-6
        assert int(hit.sum(1).max()) == 1
        some, pixel = hit.nonzero().unbind(1)
        found[some] = torch.stack([torch.full_like(pixel, index), pixel // width, pixel % width], -1)
    return found


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("room", [True, False])
@pytest.mark.parametrize("kind", ["device", "ahead", "host"])
def test_drawn_pixels_are_those_of_their_rays(kind, room, masked, device, monkeypatch):
    monkeypatch.setattr("distill.photographs.pixels.images_fit", lambda total, free: room)
    shown = views(masked=masked)
    source = {
        "device": lambda: DevicePixels(shown, device),
        "ahead": lambda: AheadPixels(shown, device, COUNT, 0),
        "host": lambda: HostPixels(shown, device, 0),
    }[kind]()
    source.prepare()
    batch = source.draw(COUNT, torch.Generator(device).manual_seed(0))
    found = places(shown, batch)
    for r, (v, row, column) in enumerate(found.tolist()):
        got = torch.cat([batch.rgb[r], batch.alpha[r : r + 1]]).cpu() * 255
        torch.testing.assert_close(got, shown[v].image[row, column].float())
        assert bool(batch.valid[r]) == bool(shown[v].valid[row, column])
    counts = found.unique(dim=0, return_counts=True)[1]
    assert len(counts) > 90  # 400 draws from 102 pixels: 2 % of them are missed
    assert int(counts.max()) < 16  # 4 on average


def test_views_of_one_lens_share_its_directions(device):
    lenses = DevicePixels(views(), device).lenses
    assert len(lenses.directions) == 8 * 4 + 5 * 7
    assert lenses.begins.tolist() == [0, 32, 32]


def test_every_draw_is_new_and_a_seed_repeats(device):
    source = DevicePixels(views(), device)
    one, two = torch.Generator(device).manual_seed(1), torch.Generator(device).manual_seed(1)
    first = source.draw(COUNT, one).rgb
    assert torch.equal(source.draw(COUNT, two).rgb, first)
    assert not torch.equal(source.draw(COUNT, one).rgb, first)


def test_batches_drawn_ahead_are_those_of_the_host_and_stay_where_they_are(device):
    source, host = AheadPixels(views(), device, COUNT, 3), HostPixels(views(), device, 3)
    unused = torch.Generator(device)
    where = source.numbers.data_ptr(), source.colors.data_ptr()
    for _ in range(2 * AHEAD):
        source.prepare()
        got, want = source.draw(COUNT, unused), host.draw(COUNT, unused)
        assert torch.equal(got.rgb, want.rgb)
        torch.testing.assert_close(got.rays.directions, want.rays.directions)
        assert torch.equal(got.rays.origins, want.rays.origins)
        assert torch.equal(got.valid, want.valid)
    assert where == (source.numbers.data_ptr(), source.colors.data_ptr())


def test_what_was_drawn_ahead_is_drawn_again_after_a_resume(device):
    whole, other = AheadPixels(views(), device, COUNT, 3), AheadPixels(views(), device, COUNT, 4)
    whole.prepare()
    state = whole.state().clone()
    other.prepare()
    other.restore(state)
    assert torch.equal(other.state(), state)
    for source in (whole, other):
        source.prepare()
    unused = torch.Generator(device)
    assert torch.equal(whole.draw(COUNT, unused).rgb, other.draw(COUNT, unused).rgb)


def test_photographs_lie_on_the_device_where_they_fit(device, monkeypatch):
    assert isinstance(unwaiting_pixels(views(), device, 8, 0), DevicePixels)
    monkeypatch.setattr("distill.photographs.pixels.images_fit", lambda total, free: total > 4 * 102)
    assert isinstance(unwaiting_pixels(views(), device, 8, 0), AheadPixels)
