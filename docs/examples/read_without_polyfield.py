"""A model file read with safetensors and NumPy alone: its header, where it is solid, and an MLP's density at a point.

python read_without_polyfield.py MODEL
"""

import json
import sys
import zlib

import numpy as np
from safetensors import safe_open

with safe_open(sys.argv[1], "np") as file:
    header = json.loads(file.metadata()["polyfield"])
    tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys() if name != "occupancy"}  # noqa: SIM118
    packed = zlib.decompress(file.get_tensor("occupancy").tobytes())
config, side = header["config"], header["resolution"]
print(f"{header['architecture']}, {sum(t.size for t in tensors.values())} numbers, config {config}")
cells = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little").reshape(-1, side, side, side)  # (K, z, y, x)
place = np.argwhere(cells[0])[:, ::-1]
print(f"{cells[0].mean():.1%} of the cells are occupied, around {(place.mean(0) + 0.5) / side} in scene units")
if header["architecture"] == "mlp" and config["activation"] == "relu" and config["block"] == "plain":
    low, high = np.array(header["box"])
    x = ((place.mean(0) + 0.5) / side - (low + high) / 2) / (high - low).max() + 0.5  # unit box, as fields/space.py
    cycles = np.geomspace(0.5, config["bandwidth"], config["frequencies"])  # as fields/encodings.py
    turns = 2 * np.pi * (x[:, None] * cycles).ravel()
    seen = h = np.concatenate([2 * x - 1, np.sin(turns), np.cos(turns)])
    layer = {n: (tensors[f"weights.architecture.{n}.weight"], tensors[f"weights.architecture.{n}.bias"])
             for n in ("last", *(f"body.layers.{i}" for i in range(config["depth"])))}  # fmt: skip
    for number in range(config["depth"]):
        weight, bias = layer[f"body.layers.{number}"]
        h = np.maximum(weight @ (np.concatenate([h, seen]) if number and number == config["skip"] else h) + bias, 0)
    weight, bias = layer["last"]
    print(f"density there: {np.exp((weight @ h + bias)[0]):.4g} per scene unit")
