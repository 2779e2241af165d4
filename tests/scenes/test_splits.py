"""Which pictures train and test, where some show nothing or are not there."""

import drawn
import pytest
import torch

from scenes.assemble import load
from scenes.options import ReadOptions, SceneError

OPTIONS = ReadOptions()


def masked(folder, blank, **lists):
    """Ten pictures, of which those of the numbers `blank` are masked out as a whole."""
    content = drawn.transforms(folder)
    for i, frame in enumerate(content["frames"]):
        frame["mask_path"] = f"masks/{i}.png"
        pixels = torch.full((32, 48), 0 if i in blank else 255, dtype=torch.uint8)
        pixels[0] = 0
        drawn.save(folder / frame["mask_path"], pixels)
    drawn.write(folder / "transforms.json", content | lists)
    return load(str(folder), OPTIONS)


def numbers(views):
    return [int(view.name[-7:-4]) for view in views]


def told(scene, word):
    return [fact.text for fact in scene.facts if fact.text.startswith(word)]


def test_a_test_picture_with_nothing_to_score_is_left_out(tmp_path):
    scene = masked(tmp_path, [8])
    assert (numbers(scene.train), numbers(scene.test)) == ([1, 2, 3, 4, 5, 6, 7, 9], [0])
    assert told(scene, "split") == ["split: every 8th picture by file name is for test (1 of 9)"]
    assert told(scene, "masks: they") == ["masks: they leave nothing of 1 picture, left out: images/008.png"]


def test_a_train_picture_with_nothing_to_learn_is_left_out(tmp_path):
    assert numbers(masked(tmp_path, [1, 2]).train) == [3, 4, 5, 6, 7, 9]


def test_where_no_test_picture_is_left_others_are_held_out(tmp_path):
    scene = masked(tmp_path, [0, 8])
    assert (numbers(scene.train), numbers(scene.test)) == ([2, 3, 4, 5, 6, 7, 9], [1])
    eighth = "every 8th picture by file name is for test (1 of 8)"
    assert told(scene, "split") == [f"split: no picture that was meant for test is left; {eighth}"]


def test_a_test_list_of_which_nothing_is_left_is_not_claimed(tmp_path):
    scene = masked(tmp_path, [3], test_filenames=["images/003.png"])
    assert numbers(scene.test) == [0, 9]
    assert not any("tested on test_filenames" in fact.text for fact in scene.facts)
    (tmp_path / "images/003.png").unlink()
    scene = load(str(tmp_path), ReadOptions(skip_missing=True))
    assert numbers(scene.test) == [0, 9]
    assert not any("tested on test_filenames" in fact.text for fact in scene.facts)


@pytest.mark.parametrize("lists", [{}, {"test_filenames": ["images/003.png"]}])
def test_nothing_to_train_on(tmp_path, lists):
    with pytest.raises(SceneError, match=r"transforms\.json: nothing to train on: the masks leave no pixel"):
        masked(tmp_path, range(10), **lists)


def test_pictures_that_are_empty_all_over(tmp_path):
    drawn.blender(tmp_path)
    for path in (tmp_path / "train").iterdir():
        drawn.save(path, torch.zeros(48, 48, 4, dtype=torch.uint8))
    with pytest.raises(SceneError, match="nothing to train on: alpha is 0 all over"):
        load(str(tmp_path), OPTIONS)


def test_a_lone_picture_that_is_left_trains(tmp_path):
    scene = masked(tmp_path, range(1, 10))
    assert (numbers(scene.train), numbers(scene.test)) == ([0], [])
