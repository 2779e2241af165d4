"""How many rays the next batch takes, so that its samples meet a budget."""

FEWEST_RAYS, MOST_RAYS = 64, 1 << 16
FIRST_RAYS = 1024


def next_rays(rays: int, samples: int, budget: int) -> int:
    """Rays for the next batch if they are like the last ones, of which `rays` gave `samples`; at most twice or half."""
    wanted = rays * budget / max(samples, 1)
    wanted = min(max(wanted, rays / 2), rays * 2)
    return int(min(max(wanted, FEWEST_RAYS), MOST_RAYS))
