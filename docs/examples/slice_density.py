"""A cut through a field, as one takes it of a body: density on a plane. python slice_density.py MODEL"""

import sys

import imageio.v3 as iio
import numpy as np

import polyfield

model = polyfield.open(sys.argv[1])
low, high = model.box
across = np.linspace(low[0], high[0], 200)
up = np.linspace(high[2], low[2], 200)  # the first row of a picture is its top
x, z = np.meshgrid(across, up)
points = np.stack([x, np.full_like(x, (low[1] + high[1]) / 2), z], -1)  # (200, 200, 3)
density = model.density(points.reshape(-1, 3)).reshape(200, 200)
thickness = 1 - np.exp(-density * (high - low).max() / 100)  # opacity of a hundredth of the box
iio.imwrite("slice.png", (thickness / thickness.max() * 255).astype(np.uint8))
print(f"slice.png: {np.mean(thickness > 0.5):.1%} of the cut is solid")
