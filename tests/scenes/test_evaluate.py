"""Scores of views against truth that is known."""

import math

import pytest
import torch
from analytic import MIDDLE, Ball, camera, full_grid

from render.camera import Camera
from render.renderer import Frame, Pixels, Renderer
from scenes.evaluate import over_background, score_views, summarise
from scenes.scene import View

GREY = (0.25, 0.5, 0.75)


def photograph(one: Camera, rgb, alpha, name="a.png"):
    """A picture of one colour and alpha."""
    width, height = one.size
    image = torch.tensor([*rgb, alpha], dtype=torch.uint8).expand(height, width, 4)
    return View(one, image, torch.ones((), dtype=torch.bool).expand(height, width), name)


def drawn(rgb, opacity):
    """A renderer that shows the same everywhere; rgb times opacity is what it hands on."""

    def draw(one: Camera) -> Frame:
        width, height = one.size
        solid = torch.full((height, width), opacity)
        return Frame(Pixels(torch.tensor(rgb) * solid[..., None], solid, solid * 2), torch.full((height, width), 7))

    return draw


def test_straight_alpha_over_a_background():
    image = torch.tensor([[[255, 0, 51, 255], [255, 0, 51, 0], [255, 0, 51, 102]]], dtype=torch.uint8)
    got = over_background(image, torch.tensor(GREY))
    want = torch.tensor([[1.0, 0.0, 0.2], [*GREY], [0.4 + 0.6 * 0.25, 0.3, 0.08 + 0.45]])
    torch.testing.assert_close(got[0], want)


def test_truth_and_rendering_stand_before_the_same_background():
    view = photograph(camera(), (255, 0, 51), 102)
    [one] = score_views((view,), GREY, drawn((1.0, 0.0, 0.2), 0.4))
    assert one.score.psnr > 120  # equal but for float32 rounding
    assert one.score.ssim == pytest.approx(1)
    assert one.view is view
    torch.testing.assert_close(one.truth, one.render)
    assert one.truth.shape == (24, 32, 3)
    assert one.seconds > 0
    assert one.frame.samples == 7 * 24 * 32
    [off] = score_views((view,), GREY, drawn((1.0, 0.0, 0.2), 0.0))
    error = torch.tensor([0.4 * 0.75, 0.4 * 0.5, 0.4 * 0.55]).square().mean()
    assert off.score.psnr == pytest.approx(-10 * math.log10(float(error)), abs=1e-4)


def test_colours_beyond_white_count_as_white():
    view = photograph(camera(), (255, 255, 255), 255)
    [one] = score_views((view,), GREY, drawn((1.7, 1.0, 2.0), 1.0))
    assert one.score.psnr == math.inf
    assert float(one.render.max()) == 1


def test_masked_pixels_are_not_scored():
    view = photograph(camera(), (0, 0, 0), 255)
    image, valid = view.image.clone(), torch.ones(24, 32, dtype=torch.bool)
    image[:5], valid[:5] = 255, False
    [one] = score_views((View(view.camera, image, valid, "a"),), GREY, drawn((0.1, 0.1, 0.1), 1.0))
    assert one.score.psnr == pytest.approx(20, abs=1e-4)
    nothing = View(view.camera, image, torch.zeros_like(valid), "images/b.png")
    with pytest.raises(ValueError, match=r"images/b\.png: no pixels to compare"):
        list(score_views((nothing,), GREY, drawn((0.1, 0.1, 0.1), 1.0)))


def test_a_ball_scores_against_its_own_photographs():
    """The photographs are the closed form's opacity as alpha; 8 bits and half a step at each end are what is left."""
    ball, views = Ball(6.0), []
    for i in range(2):
        one = camera(azimuth=0.4 + i)
        enter, leave = ball.chord(one.rays())
        alpha = (-torch.expm1(-6.0 * (leave - enter)) * 255).round().view(24, 32, 1)
        colour = (ball.rgb.detach() * 255).expand(24, 32, 3)
        image = torch.cat([colour, alpha], -1).to(torch.uint8)
        views.append(View(one, image, torch.ones(24, 32).bool(), f"{i}.png"))
    scores = list(score_views(tuple(views), (1.0, 1.0, 1.0), lambda c: Renderer().image(ball, full_grid(), c)))
    assert [s.score.name for s in scores] == ["0.png", "1.png"]
    assert min(s.score.psnr for s in scores) > 46  # a mean error of up to 0.005
    assert float((scores[0].frame.pixels.depth.max() - (camera().pose[:3, 3] - MIDDLE).norm()).abs()) < 0.3


def test_a_report_tells_the_largest_picture_by_its_area():
    views = (photograph(camera((30, 20)), (0, 0, 0), 255, "a"), photograph(camera((24, 40)), (0, 0, 0), 255, "b"))
    scores = list(score_views(views, GREY, drawn((0.1, 0.1, 0.1), 1.0)))
    result = summarise(scores, GREY, "test", 2)
    assert result.protocol.size == (24, 40)
    assert (result.protocol.count, result.protocol.downscale, result.protocol.split) == (2, 2, "test")
    assert result.protocol.background == GREY
    assert result.psnr == pytest.approx(20, abs=1e-4)
    with pytest.raises(ValueError, match="no train pictures were scored"):
        summarise([], GREY, "train", 1)
