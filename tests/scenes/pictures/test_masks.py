import drawn
import numpy as np
import pytest
import torch
from PIL import Image

from scenes.options import SceneError
from scenes.pictures import masks

SIZE = (12, 9)


def disc(width=12, height=9):
    """White in the middle, on black."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5 - height / 2, torch.arange(width) + 0.5 - width / 2, indexing="ij")
    return (torch.hypot(x, y) < height / 3).to(torch.uint8) * 255


def written(folder, pixels, count=3):
    for i in range(count):
        drawn.save(folder / f"m{i}.png", pixels)
    return [folder / f"m{i}.png" for i in range(count)]


def test_without_masks_all_is_valid(tmp_path):
    valid, facts = masks.valid([tmp_path / "a.png"], [None], [SIZE])
    assert valid[0].shape == (9, 12)
    assert valid[0].all()
    assert facts == []


def saved(path, image):
    image.save(path)
    return path


def palette(pixels, colours):
    """An image of indices (H, W) into RGB colours."""
    image = Image.fromarray(pixels.numpy(), "P")
    image.putpalette([value for colour in colours for value in colour])
    return image


DISC = disc() > 0


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("a.png", Image.fromarray(disc().numpy())),
        ("a.png", Image.fromarray(DISC.to(torch.uint8).numpy())),  # 0 and 1
        ("a.png", Image.fromarray(DISC.numpy())),  # one bit
        ("a.png", Image.fromarray(disc().numpy().astype(np.uint16))),  # 0 and 255 of 65535
        ("a.png", Image.fromarray(DISC.numpy().astype(np.uint16))),  # 0 and 1 of 65535
        ("a.png", Image.fromarray(disc().numpy().astype(np.uint16) * 257)),
        ("a.png", Image.fromarray(disc().numpy().astype(np.uint16) * 257 // 2 + 16000)),  # grey and brighter grey
        ("a.png", palette(DISC.to(torch.uint8), [(0, 0, 0), (255, 255, 255)])),
        ("a.png", palette((~DISC).to(torch.uint8), [(255, 255, 255), (0, 0, 0)])),  # index 0 is white
        ("a.png", palette(DISC.to(torch.uint8), [(0, 0, 0), (128, 0, 0)])),  # a label
        ("a.png", Image.merge("RGB", [Image.fromarray(disc().numpy())] * 3)),
        ("a.jpg", Image.fromarray(disc(96, 72).numpy())),
    ],
)
def test_black_is_ignored_whatever_kind_of_file_says_so(tmp_path, name, image):
    files = [saved(tmp_path / name, image)]
    size = image.size
    keep = disc(*size) > 0
    valid, facts = masks.valid([tmp_path / "b.png"], files, [size])
    assert int((valid[0] != keep).sum()) <= (0 if name == "a.png" else 40)  # JPEG blurs the edge
    assert facts[0].kind == "found"
    assert facts[0].text.startswith("masks: black, as nerfstudio's mask_path has it, is ignored: ")
    assert facts[0].text.endswith("% of the pixels of 1 pictures")


def test_the_polarity_is_no_guess(tmp_path):
    valid, facts = masks.valid([tmp_path / "a.png"] * 3, list(written(tmp_path, 255 - disc())), [SIZE] * 3)
    assert (valid[1] == ~DISC).all()  # a person in the middle is black
    assert f"{float(DISC.float().mean()):.1%} of the pixels of 3 pictures" in facts[0].text


def test_labels_of_several_colours_are_all_white(tmp_path):
    labels = torch.zeros(9, 12, dtype=torch.uint8)
    labels[2:4], labels[6:8] = 1, 2
    file = saved(tmp_path / "a.png", palette(labels, [(0, 0, 0), (128, 0, 0), (224, 224, 192)]))
    valid, _ = masks.valid([tmp_path / "b.png"], [file], [SIZE])
    assert (valid[0] == (labels > 0)).all()


def test_masks_that_mask_nothing_are_doubtful(tmp_path):
    _, facts = masks.valid([tmp_path / "a.png"], written(tmp_path, disc() * 0 + 255, 1), [SIZE])
    assert facts[0].kind == "doubtful"
    assert "0.0% of the pixels of 1 pictures; they mask nothing: check that black and white" in facts[0].text


def test_a_few_small_holes_leave_the_usual_polarity(tmp_path):
    pixels = torch.full((9, 12), 255, dtype=torch.uint8)
    pixels[4, 5] = 0
    valid, _ = masks.valid([tmp_path / "a.png"] * 3, list(written(tmp_path, pixels)), [SIZE] * 3)
    assert int((~valid[0]).sum()) == 1


def test_a_shrunken_pixel_is_ignored_once_part_of_it_is(tmp_path):
    pixels = torch.full((18, 24), 255, dtype=torch.uint8)
    pixels[3, 3] = 0
    valid, _ = masks.valid([tmp_path / "a.png"], [written(tmp_path, pixels, 1)[0]], [SIZE])
    assert (~valid[0]).nonzero().tolist() == [[1, 1]]


def test_dynamic_masks_beside_a_picture_ignore_what_is_not_black(tmp_path):
    pixels = torch.zeros(9, 12, dtype=torch.uint8)
    pixels[2, 3] = 7
    drawn.save(tmp_path / "dynamic_mask_0001.png", pixels)
    valid, facts = masks.valid([tmp_path / "0001.jpg", tmp_path / "0002.jpg"], [None, None], [SIZE] * 2)
    assert (~valid[0]).nonzero().tolist() == [[2, 3]]
    assert valid[1].all()
    assert "dynamic masks" in facts[0].text


@pytest.mark.parametrize(("rows", "kind"), [(1, "doubtful"), (2, "found")])  # of 40, that are white
def test_nearly_everything_ignored_is_doubtful(tmp_path, rows, kind):
    pixels = torch.zeros(40, 12, dtype=torch.uint8)
    pixels[:rows] = 255
    _, facts = masks.valid([tmp_path / "a.png"], written(tmp_path, pixels, 1), [(12, 40)])
    assert facts[0].kind == kind
    assert ("that is nearly all: check that black and white are not swapped" in facts[0].text) == (kind == "doubtful")


def test_all_but_black_of_sixteen_bits_is_in_a_dynamic_mask(tmp_path):
    pixels = np.zeros((9, 12), np.uint16)
    pixels[2, 3], pixels[5, 6] = 7, 65535
    Image.fromarray(pixels).save(tmp_path / "dynamic_mask_0001.png")
    valid, _ = masks.valid([tmp_path / "0001.jpg"], [None], [SIZE])
    assert (~valid[0]).nonzero().tolist() == [[2, 3], [5, 6]]


def test_a_mask_of_another_shape_is_refused(tmp_path):
    with pytest.raises(SceneError, match=r"m0\.png: expected a mask shaped 12 x 9, found 9 x 12"):
        masks.valid([tmp_path / "a.png"], [written(tmp_path, disc(9, 12), 1)[0]], [SIZE])
