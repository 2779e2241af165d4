"""Which pictures train and which test: as the input says, else every 8th; those with nothing to see are in neither."""

from collections.abc import Sequence

from scenes.options import SceneError
from scenes.placing.box import Unplaced
from scenes.posed import Posed, Reading
from scenes.scene import Fact

SPLITS = ("train", "test", "either")
LISTED = 5  # files named in a message


def divide(
    reading: Reading, every: Sequence[tuple[Unplaced, Posed]]
) -> tuple[list[Unplaced], list[Unplaced], list[Fact]]:
    """Pictures to train and to test, and facts. Of those that may be either, every 8th is for test; so it is of the
    train ones where no test picture is left. Those without a valid pixel are left out. SceneError where nothing is to
    train on."""
    train, test, either = ([shot for shot, one in every if one.split == split] for split in SPLITS)
    if not train and not either:
        raise SceneError(f"{reading.source}: expected train pictures, found only test ones")
    taught, held = hold_out(either)
    train, test, blank = leave_out_blank([*train, *taught], [*test, *held])
    if held and not train:
        train, test = test, []
    if not train:
        raise SceneError(f"{reading.source}: nothing to train on: the masks leave no pixel of any train picture")
    if not any(bool(shot.image[..., 3].any()) for shot in train):
        raise SceneError(f"{reading.source}: nothing to train on: alpha is 0 all over every train picture")
    lost = not test and (bool(held) or any(one.split == "test" for one in reading.pictures))
    if lost:
        train, test = hold_out(train)
    return train, test, [*blank, *split_facts(reading, len(train), len(test), lost=lost)]


def hold_out(shots: Sequence[Unplaced]) -> tuple[list[Unplaced], list[Unplaced]]:
    """Those to train and to test: sorted by name, 0, 8, 16, ... are for test; a lone one trains."""
    ordered = sorted(shots, key=lambda shot: shot.name)
    if len(ordered) < 2:
        return ordered, []
    return [shot for i, shot in enumerate(ordered) if i % 8], ordered[::8]


def leave_out_blank(
    train: Sequence[Unplaced], test: Sequence[Unplaced]
) -> tuple[list[Unplaced], list[Unplaced], list[Fact]]:
    """Those with a valid pixel, and the fact, where there are others."""
    left = [[shot for shot in shots if bool(shot.valid.any())] for shots in (train, test)]
    blank = [shot.name for shot in (*train, *test) if not bool(shot.valid.any())]
    said = f"masks: they leave nothing of {len(blank)} picture{'s' * (len(blank) > 1)}, left out: {list_briefly(blank)}"
    return left[0], left[1], [Fact("doubtful", said)] if blank else []


def split_facts(reading: Reading, train: int, test: int, *, lost: bool) -> list[Fact]:
    """What is said about this many train and test pictures; `lost`: those that were meant for test are not there."""
    eighth = f"every 8th picture by file name is for test ({test} of {train + test})" if test else "none is held out"
    if lost:
        return [Fact("assumed", f"split: no picture that was meant for test is left; {eighth}")]
    if reading.split:
        told = f"{reading.split} ({test} pictures)" if test else f"{reading.split}, nothing is left for test"
        return [Fact("found", f"split: {told}")]
    if all(one.split != "either" for one in reading.pictures):
        return []
    if not test:
        return [Fact("found", "split: a single picture, nothing is left for test")]
    return [Fact("assumed", f"split: {eighth}")]


def list_briefly(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(names[:LISTED]) + (" ..." if len(names) > LISTED else "")
