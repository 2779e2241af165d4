"""The renderer against a ball of constant density, whose pixels are known in closed form."""

import pytest
import torch
from analytic import Ball, G, camera, full_grid, seen_through

from render.kernels.gather import FAINT, SHARE
from render.looks import normal
from render.occupancy import OccupancyGrid
from render.rays import RayBatch
from render.renderer import Renderer
from render.units import UNIT_STEP

WHITE = torch.ones(3)


def pictures(ball, view, renderer=None):
    """Pixels of the renderer and the closed form's opacity and depth, flattened."""
    pixels = (renderer or Renderer()).image(ball, full_grid(), view).pixels
    enter, leave = ball.chord(view.rays())
    opacity, depth = seen_through(float(ball.sigma.detach()), enter, leave)
    return pixels, opacity.view(pixels.opacity.shape), depth.view(pixels.depth.shape)


def spread(ball):
    """How far a pixel's opacity may be off: each of a chord's two ends is met to half a step."""
    return float(ball.sigma.detach()) * UNIT_STEP


@pytest.mark.parametrize("sigma", [0.8, 3.0, 40.0])
def test_image_of_a_ball_is_the_closed_form(sigma):
    ball, view = Ball(sigma), camera()
    pixels, opacity, depth = pictures(ball, view)
    assert pixels.rgb.shape == (24, 32, 3)
    torch.testing.assert_close(pixels.opacity, opacity, atol=spread(ball) + 1e-4, rtol=0)  # 1e-4: rays stop there
    torch.testing.assert_close(pixels.rgb, opacity[..., None] * ball.rgb.detach(), atol=spread(ball) + 2e-3, rtol=0)
    seen = opacity > 0.2
    assert 50 < int(seen.sum()) < 24 * 32 / 2
    torch.testing.assert_close(pixels.depth[seen], depth[seen], atol=UNIT_STEP + 1e-4, rtol=0)
    assert bool((pixels.depth[opacity == 0] == 0).all())


def test_the_mean_error_is_far_below_a_step():
    """Ends of chords fall anywhere in their step: their errors cancel over pixels unless the lattice is biased."""
    ball, view = Ball(3.0), camera((64, 48))
    pixels, opacity, depth = pictures(ball, view)
    assert abs(float((pixels.opacity - opacity).mean())) < spread(ball) / 20
    seen = opacity > 0.5
    assert abs(float((pixels.depth - depth)[seen].mean())) < UNIT_STEP / 20


def test_image_in_waves_is_one_pass_over_the_same_samples():
    ball, view, renderer = Ball(3.0), camera(), Renderer()
    rays = view.rays()
    with torch.no_grad():
        want = renderer.shade(ball, rays, full_grid().march(rays, renderer.step, renderer.cone))
    got = renderer.image(ball, full_grid(), view).pixels
    left_out = FAINT + renderer.stop  # of rays that are never looked at
    torch.testing.assert_close(got.opacity.flatten(), want.opacity, atol=renderer.stop + 1e-5, rtol=0)
    torch.testing.assert_close(got.rgb.view(-1, 3), want.rgb, atol=left_out, rtol=0)
    assert float((got.rgb.view(-1, 3) - want.rgb).abs().mean()) < 1e-4
    torch.testing.assert_close(got.depth.flatten(), want.depth, atol=1e-3, rtol=0)  # stop, times a depth below 3


def test_a_picture_does_not_depend_on_the_bunches_it_is_drawn_in():
    ball, view, renderer = Ball(9.0), camera(), Renderer()
    whole, rays = renderer.image(ball, full_grid(), view), view.rays()
    parts = [renderer.bunch(ball, full_grid(), rays[i : i + 50]) for i in range(0, len(rays), 50)]
    assert torch.equal(torch.cat([p.counts for p in parts]), whole.counts.flatten())
    assert torch.equal(torch.cat([p.pixels.rgb for p in parts]), whole.pixels.rgb.view(-1, 3))
    assert torch.equal(torch.cat([p.pixels.depth for p in parts]), whole.pixels.depth.flatten())


def test_nothing_is_drawn_nearer_than_asked_and_no_sample_moves():
    """A cut through the ball: opacity is that of the rest of each chord; samples behind the cut are the same ones."""
    ball, view = Ball(3.0), camera()
    rays, cut = view.rays(), 1.55  # just before the ball's middle
    enter, leave = ball.chord(rays)
    want, _ = seen_through(3.0, enter.clamp(min=cut), leave.clamp(min=cut))
    got = Renderer().image(ball, full_grid(), view, near=cut)
    assert int(((enter < cut) & (cut < leave)).sum()) > 100
    torch.testing.assert_close(got.pixels.opacity.flatten(), want, atol=spread(ball) + 1e-4, rtol=0)
    seen = want > 0.01
    assert float(got.pixels.depth.flatten()[seen].min()) > cut
    samples = full_grid().march(rays, UNIT_STEP, 0.0)
    behind = torch.bincount(samples.ray[samples.t >= cut], minlength=len(rays))
    assert torch.equal(got.counts.flatten(), behind.int())  # too thin to stop early: each is asked


def test_counts_are_what_the_field_was_asked():
    ball, view, renderer = Ball(60.0), camera(), Renderer()
    frame = renderer.image(ball, full_grid(), view)
    assert frame.counts.shape == (24, 32)
    assert frame.samples == ball.asked
    all_of_them = torch.bincount(full_grid().march(view.rays(), renderer.step, 0.0).ray, minlength=24 * 32)
    assert bool((frame.counts.flatten() <= all_of_them).all())
    assert frame.samples < all_of_them.sum()


def test_rays_drawn_by_themselves_are_those_of_the_picture():
    ball, view, renderer = Ball(60.0), camera(), Renderer()
    whole = renderer.image(ball, full_grid(), view, near=1.2)
    part = renderer.bunch(ball, full_grid(), view.rays()[100:500], near=1.2)
    assert part.pixels.rgb.shape == (400, 3)
    assert (part.pixels.depth.shape, part.counts.shape) == ((400,), (400,))
    torch.testing.assert_close(part.pixels.rgb, whole.pixels.rgb.view(-1, 3)[100:500], atol=2 * FAINT, rtol=0)
    torch.testing.assert_close(part.pixels.opacity, whole.pixels.opacity.flatten()[100:500], atol=1e-4, rtol=0)


def test_a_few_looks_show_what_all_of_them_would(generator):
    """A colour that changes along the ray, in a ball so thin that every ray passes some 300 samples."""

    class Changing(Ball):
        looks = 0

        def color(self, features, d):
            self.looks += len(d)
            return features  # the point itself

    ball, view, renderer = Changing(3.0), camera(), Renderer()
    rays = view.rays()
    with torch.no_grad():
        want = renderer.shade(ball, rays, full_grid().march(rays, renderer.step, renderer.cone))
    ball.looks = 0
    frame = renderer.image(ball, full_grid(), view)
    assert ball.looks < frame.samples / 5
    # the last share of light takes the colour of the rest: points of one ray are less than a diameter apart
    torch.testing.assert_close(frame.pixels.rgb.view(-1, 3), want.rgb, atol=0.6 * (SHARE + FAINT), rtol=0)
    assert float((frame.pixels.rgb.view(-1, 3) - want.rgb).square().mean().sqrt()) < 2e-3


@pytest.mark.parametrize("stop", [1e-2, 1e-4])
def test_early_stop_changes_pixels_by_less_than_the_light_that_is_left(stop):
    early, late, view = Ball(30.0), Ball(30.0), camera()
    one = Renderer(stop=stop).image(early, full_grid(), view)
    two = Renderer(stop=0.0).image(late, full_grid(), view)
    assert one.samples < two.samples
    assert early.asked < late.asked
    torch.testing.assert_close(one.pixels.opacity, two.pixels.opacity, atol=stop, rtol=0)
    torch.testing.assert_close(one.pixels.over(WHITE), two.pixels.over(WHITE), atol=stop + FAINT, rtol=0)


def test_pruning_changes_nothing_visible(generator):
    ball, rays, renderer = Ball(60.0), camera().rays(), Renderer()
    marched = renderer.march(full_grid(), rays, torch.Generator().manual_seed(1))
    whole, pruned = marched.samples, renderer.visible(ball, rays, marched).samples
    assert len(pruned) < 0.95 * len(whole)
    assert torch.equal(pruned.offsets.diff(), torch.bincount(pruned.ray, minlength=len(rays)))
    one, two = renderer.shade(ball, rays, pruned), renderer.shade(ball, rays, whole)
    torch.testing.assert_close(one.rgb, two.rgb, atol=renderer.stop, rtol=0)
    torch.testing.assert_close(one.opacity, two.opacity, atol=renderer.stop, rtol=0)
    again = renderer.rays(ball, full_grid(), rays, torch.Generator().manual_seed(1))
    assert torch.equal(again.rgb, one.rgb)


def test_jittered_rays_average_to_the_closed_form(generator):
    ball, rays = Ball(3.0), camera().rays()
    pixels = Renderer().rays(ball, full_grid(), rays, generator)
    opacity, _ = seen_through(3.0, *ball.chord(rays))
    torch.testing.assert_close(pixels.opacity, opacity, atol=spread(ball), rtol=0)
    still = Renderer().image(ball, full_grid(), camera()).pixels.opacity.flatten()
    assert float((pixels.opacity.detach() - still).abs().max()) > 1e-5  # jitter does shift samples


def test_gradients_reach_the_field(generator):
    """d opacity / d sigma = L exp(-sigma L); d rgb / d colour = opacity."""
    ball, rays = Ball(2.0), camera().rays()
    enter, leave = ball.chord(rays)
    length, (opacity, _) = leave - enter, seen_through(2.0, enter, leave)
    pixels = Renderer().rays(ball, full_grid(), rays, generator)
    (got,) = torch.autograd.grad(pixels.opacity.sum(), ball.sigma, retain_graph=True)
    want = (length * torch.exp(-2.0 * length)).sum()
    torch.testing.assert_close(got, want, rtol=5e-3, atol=0)  # chords are met to a step of 0.0017 in up to 0.6
    (got,) = torch.autograd.grad(pixels.rgb.sum(0)[1], ball.rgb)
    torch.testing.assert_close(got[1], opacity.sum(), rtol=5e-3, atol=0)
    assert float(got[0]) == 0


def test_normals_of_a_ball_point_outward():
    class Soft(Ball):  # density that falls over 0.05 instead of at once, so that it has a slope
        def density(self, x):
            inward = self.radius - (x - self.middle).norm(dim=-1)
            return self.sigma * (inward / 0.05).clamp(-20, 0).exp(), x

    soft, view = Soft(2000.0), camera()
    pixels = Renderer().image(soft, full_grid(), view, normal).pixels
    rays = view.rays()
    points = rays.origins + rays.directions * pixels.depth.view(-1, 1)
    outward = torch.nn.functional.normalize(points - soft.middle, dim=-1).view(24, 32, 3)
    seen = pixels.opacity > 0.999
    assert int(seen.sum()) > 50
    got = torch.nn.functional.normalize(pixels.rgb[seen], dim=-1)
    facing = (got * outward[seen]).sum(-1)
    assert float(facing.min()) > 0.99  # the mean over a surface as thick as 0.05 lies a little off its middle
    assert float(facing.mean()) > 0.999


def test_an_empty_grid_gives_background(generator):
    grid = OccupancyGrid(torch.zeros(1, G**3 // 8, dtype=torch.uint8), full_grid().box, G)
    ball, view = Ball(), camera()
    frame = Renderer().image(ball, grid, view)
    assert (frame.samples, ball.asked) == (0, 0)
    teal = torch.tensor([0.1, 0.5, 0.6])
    assert torch.equal(frame.pixels.over(teal), teal.expand(24, 32, 3))
    assert bool((frame.pixels.depth == 0).all())
    pixels = Renderer().rays(ball, grid, view.rays(), generator)
    assert torch.equal(pixels.over(teal), teal.expand(24 * 32, 3))


def test_no_rays_give_no_pixels(generator):
    none = RayBatch(torch.zeros(0, 3), torch.zeros(0, 3))
    pixels = Renderer().rays(Ball(), full_grid(), none, generator)
    assert pixels.rgb.shape == (0, 3)
    assert pixels.depth.shape == (0,)


def test_large_scenes_with_growing_steps_agree_with_the_closed_form():
    box = torch.tensor([[-3.5] * 3, [4.5] * 3])
    ball, view = Ball(1.0, radius=2.0), camera(distance=3.2)
    renderer = Renderer(cone=1 / 256)
    pixels = renderer.image(ball, full_grid(box), view).pixels
    opacity, _ = seen_through(1.0, *ball.chord(view.rays()))
    longest = 5.2 / 256  # scene units, at the far side of the ball
    torch.testing.assert_close(pixels.opacity.flatten(), opacity, atol=longest, rtol=0)


def test_over_takes_one_background_or_one_for_each_pixel():
    pixels, opacity, _ = pictures(Ball(3.0), camera())
    many = torch.rand(24, 32, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pixels.over(many), pixels.rgb + (1 - pixels.opacity[..., None]) * many)
    assert float(opacity.min()) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"step": 0.0},
        {"step": 1e-17},
        {"cone": 1e-300},
        {"step": 1.0},
        {"step": -1.0},
        {"cone": -0.1},
        {"cone": 0.5},
        {"stop": 1.0},
        {"stop": -1},
    ],
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(
        ValueError, match=r"renderer wants 0\.0001 <= step < 1, cone 0 or 1e-06 to 0\.1, 0 <= stop < 1; found"
    ):
        Renderer(**change)
    with pytest.raises(ValueError, match="renderer wants"):
        Renderer(**dict.fromkeys(change, float("nan")))
