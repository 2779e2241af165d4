"""Once around a field, as a film. python turntable.py MODEL [FRAMES]"""

import sys

import imageio.v3 as iio
import numpy as np

import polyfield

model, frames = polyfield.open(sys.argv[1]), int((*sys.argv, "36")[2])
first = model.cameras[0]
middle = np.mean(model.box, 0)  # what the film turns around
offset = first.pose[:3, 3].numpy() - middle
radius, pictures = np.hypot(offset[0], offset[1]), []
for angle in np.linspace(0, 2 * np.pi, frames, endpoint=False):
    eye = middle + np.array([radius * np.cos(angle), radius * np.sin(angle), offset[2]])
    back = (eye - middle) / np.linalg.norm(eye - middle)
    right = np.cross([0, 0, 1], back) / np.linalg.norm(np.cross([0, 0, 1], back))
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(back, right), back, eye], -1)
    view = polyfield.camera(pose, first.intrinsics.fx * 160 / first.size[0], (160, 160))
    pictures.append((model.image(view) * 255).astype(np.uint8))
iio.imwrite("turntable.gif", pictures, duration=1000 / 24, loop=0)
print(f"turntable.gif: {frames} frames")
