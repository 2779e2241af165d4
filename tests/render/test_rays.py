"""Rays and packed samples."""

import torch

from render.rays import RayBatch, Samples


def batch(count, generator):
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    return RayBatch(torch.randn(count, 3, generator=generator), directions)


def test_slices_and_indices_take_origin_and_direction_together(generator):
    rays = batch(7, generator)
    assert len(rays) == 7
    assert len(rays[2:5]) == 3
    index = torch.tensor([6, 0, 6])
    for part, place in ((rays[index], index), (rays[2:5], torch.arange(2, 5)), (rays[:0], index[:0])):
        assert torch.equal(part.origins, rays.origins[place])
        assert torch.equal(part.directions, rays.directions[place])
    same = rays.to(torch.device("cpu"))
    assert torch.equal(same.directions, rays.directions)


def test_positions_lie_on_their_rays_and_pass_gradients_to_them(generator):
    rays = batch(3, generator)
    rays = RayBatch(rays.origins.requires_grad_(), rays.directions.requires_grad_())
    t = torch.tensor([0.5, 1.5, 4.0])
    samples = Samples(torch.tensor([0, 2, 2]), t, torch.ones(3), torch.tensor([0, 1, 1, 3]))
    points = samples.positions(rays)
    assert len(samples) == 3
    for n, (ray, distance) in enumerate(((0, 0.5), (2, 1.5), (2, 4.0))):
        torch.testing.assert_close(points[n], rays.origins[ray] + distance * rays.directions[ray])
    points.sum().backward()
    assert torch.equal(rays.origins.grad, torch.tensor([[1.0], [0.0], [2.0]]).expand(3, 3))
    assert torch.equal(rays.directions.grad, torch.tensor([[0.5], [0.0], [5.5]]).expand(3, 3))


def test_no_samples_have_no_positions(generator):
    none = torch.zeros(0)
    samples = Samples(none.long(), none, none, torch.zeros(4, dtype=torch.int64))
    assert samples.positions(batch(3, generator)).shape == (0, 3)


def test_positions_are_the_same_whether_or_not_anything_learns(generator):
    rays, t = batch(5, generator), torch.rand(40, generator=generator) * 3
    ray = torch.randint(5, (40,), generator=generator).sort().values
    samples = Samples(ray, t, torch.ones(40), torch.zeros(6, dtype=torch.int64))
    want = rays.origins[ray] + t[:, None] * rays.directions[ray]
    torch.testing.assert_close(samples.positions(rays), want)
    some = RayBatch(rays.origins.clone().requires_grad_(), rays.directions)
    torch.testing.assert_close(samples.positions(some).detach(), want)
    turned = RayBatch(rays.origins.T.contiguous().T, rays.directions)  # memory in another order
    torch.testing.assert_close(samples.positions(turned), want)
