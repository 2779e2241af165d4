"""Pictures in memory become a field: here those that another field draws. python train_from_arrays.py MODEL [STEPS]"""

import sys

import imageio.v3 as iio
import numpy as np

import polyfield

teacher, steps = polyfield.open(sys.argv[1]), int((*sys.argv, "300")[2])
cameras = [camera.resized(100, 100) for camera in teacher.cameras]
images = np.stack([teacher.image(camera) for camera in cameras])  # (N, 100, 100, 3); alpha as a fourth, if there is one
poses = np.stack([camera.pose for camera in cameras])  # (N, 4, 4) camera-to-world
scene = polyfield.scene(images, poses, cameras[0].intrinsics)

learning = polyfield.train(scene, arch="hashgrid", preset="tiny", steps=steps)
for step in learning:
    if step.index % 100 == 0:
        print(f"step {step.index}: loss {step.loss:.4f}")
print(f"{learning.metrics['psnr']:.2f} dB on pictures it has not seen")
iio.imwrite("learnt.png", (learning.model.image(cameras[0]) * 255).astype(np.uint8))
