"""One field, other architectures: bytes, and dB against the first. python convert_and_compare.py MODEL [STEPS]"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import polyfield

path, steps = sys.argv[1], int((*sys.argv, "500")[2])
teacher = polyfield.open(path)
views = [camera.resized(120, 120) for camera in teacher.cameras[::10]]
pictures = [teacher.image(view) for view in views]
print(f"{path}: {Path(path).stat().st_size / 1e6:.2f} MB")
for architecture in ("triplane", "hashgrid"):
    student = polyfield.convert(teacher, to=architecture, preset="tiny", steps=steps).finish()
    errors = [np.square(student.image(view) - picture).mean() for view, picture in zip(views, pictures, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        size = student.save(Path(folder) / "student.safetensors")
    print(f"{architecture}: {size / 1e6:.2f} MB, {-10 * np.log10(np.mean(errors)):.2f} dB against the teacher")
