import struct
import subprocess
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from scenes.options import ReadOptions, SceneError
from scenes.pictures import images

PLAIN = ReadOptions()


def read_one(path, options=PLAIN):
    return images.read([path], options)[0]


def png16(path, values):
    """A PNG of 16-bit samples (H, W, C), C 1, 3 or 4, written byte by byte."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize(
    ("mode", "colour", "want"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30, 255)),
        ("RGBA", (10, 20, 30, 40), (10, 20, 30, 40)),
        ("L", 77, (77, 77, 77, 255)),
        ("LA", (77, 5), (77, 77, 77, 5)),
        ("1", 1, (255, 255, 255, 255)),
        ("I;16", 257 * 50, (50, 50, 50, 255)),
    ],
)
def test_every_kind_of_png_becomes_rgba(tmp_path, mode, colour, want):
    Image.new(mode, (5, 3), colour).save(tmp_path / "a.png")
    found = read_one(tmp_path / "a.png")
    assert found.shape == (3, 5, 4)
    assert found.dtype == torch.uint8
    assert (found == torch.tensor(want, dtype=torch.uint8)).all()


def test_a_palette_keeps_its_transparent_entry(tmp_path):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([200, 10, 10, 10, 200, 10])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=b"\x00\xff")
    assert read_one(tmp_path / "a.png").tolist() == [[[200, 10, 10, 0], [10, 200, 10, 255]]]


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_keep_the_upper_eight(tmp_path, channels):
    values = np.array([0, 300, 32896, 65535]).reshape(2, 2, 1).repeat(channels, 2)
    png16(tmp_path / "a.png", values)
    assert read_one(tmp_path / "a.png")[..., :3].amax(-1).flatten().tolist() == [0, 1, 128, 255]


def test_a_jpeg_is_opaque(tmp_path):
    Image.new("RGB", (16, 8), (100, 100, 100)).save(tmp_path / "a.jpg")
    found = read_one(tmp_path / "a.jpg")
    assert found.shape == (8, 16, 4)
    assert (found[..., 3] == 255).all()
    assert (found[..., :3].int() - 100).abs().max() <= 1


@pytest.mark.parametrize(
    ("size", "options", "want"),
    [
        ((800, 600), PLAIN, (800, 600)),
        ((801, 600), ReadOptions(downscale=2), (400, 300)),
        ((1080, 1920), ReadOptions(downscale=4), (270, 480)),
        ((4000, 3000), PLAIN, (1920, 1440)),
        ((4000, 3000), ReadOptions(downscale=2, max_resolution=1000), (1000, 750)),
        ((5, 400), ReadOptions(downscale=16), (1, 25)),
    ],
)
def test_the_loaded_size_follows_the_options(size, options, want):
    assert images.loaded_size(size, options) == want


def test_shrinking_weighs_colour_by_alpha():
    pixels = torch.zeros(2, 2, 4, dtype=torch.uint8)
    pixels[0, 0] = torch.tensor([200, 100, 50, 255])
    pixels[0, 1] = torch.tensor([0, 255, 0, 0])  # its colour must not bleed
    assert images.shrink(pixels, (1, 1)).flatten().tolist() == [200, 100, 50, 64]


def test_nothing_has_the_colour_zero():
    pixels = torch.tensor([[[9, 9, 9, 0], [9, 9, 9, 0]]], dtype=torch.uint8)
    assert images.shrink(pixels, (1, 1)).flatten().tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("size", [(3, 2), (5, 4), (7, 5), (1, 1), (4, 3), (11, 9)])
def test_area_is_the_mean_over_a_fine_raster(size):
    values = torch.rand(5, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    fine = values.repeat_interleave(size[1], 0).repeat_interleave(size[0], 1)  # every new pixel is 5 x 7 fine ones
    want = fine.reshape(size[1], 5, size[0], 7, 3).mean((1, 3))
    torch.testing.assert_close(images.area(values, size), want)  # float64 weights: equal up to rounding


def test_order_is_kept(tmp_path):
    for i in range(20):
        Image.new("L", (3, 3), i).save(tmp_path / f"{i}.png")
    found = images.read([tmp_path / f"{i}.png" for i in range(20)], PLAIN)
    assert [int(p[0, 0, 0]) for p in found] == list(range(20))
    assert [head.size for head in images.headers([tmp_path / "3.png"])] == [(3, 3)]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_picture_names_file_expectation_and_finding(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    pixels = torch.randint(0, 255, (64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(pixels.numpy()).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SceneError, match=rf"a\.{suffix}: damaged .* expected 64 x 64 .* found {len(whole) // 2} bytes"):
        read_one(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(SceneError, match=r"a\.png: not a picture: expected PNG, JPEG, WebP or TIFF"):
        images.headers([tmp_path / "a.png"])


def test_a_picture_beyond_the_pixel_limit_is_refused_without_a_warning(tmp_path, monkeypatch):
    Image.new("L", (40, 40)).save(tmp_path / "a.png")
    for limit in (1000, 100):  # Pillow warns up to twice the limit and raises above
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(SceneError, match="too large"):
            read_one(tmp_path / "a.png")


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(SceneError, match=r"gone\.png: no such picture"):
        read_one(tmp_path / "gone.png")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("largest", "depth"), [(0, 8), (255, 8), (256, 10), (1023, 10), (4095, 12), (4096, 16)])
def test_sixteen_bits_that_hold_fewer(tmp_path, channels, largest, depth):
    values = np.linspace(0, largest, 12).astype(int).reshape(3, 4, 1).repeat(channels, 2)
    png16(tmp_path / "a.png", values)
    assert images.headers([tmp_path / "a.png"])[0].wide
    assert images.depth_used([tmp_path / "a.png"]) == (depth, largest)
    found = images.read([tmp_path / "a.png"], PLAIN, None, depth)[0]
    assert found[..., 0].tolist() == (values[..., 0] >> (depth - 8)).tolist()
    assert channels == 4 or (found[..., 3] == 255).all()
    assert channels < 4 or torch.equal(found[..., 3], found[..., 0])


def test_one_bright_picture_shows_that_sixteen_bits_are_meant(tmp_path):
    png16(tmp_path / "dark.png", np.full((2, 2, 1), 90))
    png16(tmp_path / "bright.png", np.full((2, 2, 3), 40000))
    assert images.depth_used([tmp_path / "dark.png", tmp_path / "bright.png"]) == (16, 40000)


@pytest.mark.parametrize("suffix", [".webp", ".tif", ".tiff"])
def test_other_types_of_picture(tmp_path, suffix):
    pixels = torch.randint(0, 256, (5, 7, 4), dtype=torch.uint8)
    pixels[..., 3] = 255
    Image.fromarray(pixels.numpy()).save(tmp_path / f"a{suffix}", lossless=True)
    assert torch.equal(read_one(tmp_path / f"a{suffix}"), pixels)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 16\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("form", ["EPS", "BMP", "GIF", "PPM", "ICO", "TGA"])
def test_only_the_formats_that_are_named_are_decoded(tmp_path, monkeypatch, form):
    path, started = tmp_path / "a.png", []
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **more: started.append(words))  # Ghostscript
    if form == "EPS":
        path.write_bytes(EPS)
    else:
        Image.new("RGB", (24, 16)).save(path, form)
    with pytest.raises(SceneError, match=r"a\.png: "):
        images.read([path], PLAIN)
    assert not started


def test_a_large_picture_is_shrunk_row_by_row():
    asked = []

    def light(values):
        asked.append(len(values))
        return values.float()

    got = images.area(torch.full((900, 30, 4), 7, dtype=torch.uint8), (10, 30), light)
    assert torch.allclose(got, torch.full((30, 10, 4), 7.0))
    assert max(asked) == 30  # not 900
