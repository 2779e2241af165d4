"""A scene of posed pictures, whatever format they came in: loaded, masked, split, and placed in scene units."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import torch
from torch import Tensor

from fields.files import check_similarity
from render.camera import FARTHEST, Intrinsics, shown
from scenes import formats, paths
from scenes.options import ReadOptions, SceneError
from scenes.pictures import images, masks
from scenes.pictures.headers import Stored, alike, choose_turned
from scenes.pictures.images import Source
from scenes.placing.box import Placement, Unplaced, hulled, place
from scenes.placing.conventions import describe, suspect, turned
from scenes.posed import Posed, Reading, take_out_scale
from scenes.progress import tell
from scenes.scene import Fact, Scene, View
from scenes.splits import divide, list_briefly

PIXEL = 5  # bytes that a loaded pixel takes: RGBA, and whether it is valid
EMPTY_SHARE = 0.001  # share of pixels with alpha 0 from which a picture counts as cut out


def load(data: str, options: ReadOptions) -> Scene:
    """Read a data set: a folder, a JSON file, a mesh, or `builtin[:SIZE]`. SceneError where it cannot be used."""
    found = paths.expect(data, "scene")
    return assemble(formats.module(found.format).read(found.path, options), options)


def assemble(reading: Reading, options: ReadOptions) -> Scene:
    """Load the pictures and find the scene's place. SceneError where that cannot be, which names the file."""
    if options.up != "auto" and not reading.placement:
        raise SceneError(f"{reading.source}: --up {options.up} is for meshes; photographs have their poses")
    pictures, missing = leave_out_missing(reading, options)
    pictures, read_as = turn_poses(pictures, reading, options)
    shots, transparent, found = fetch(reading, pictures, options)
    train, test, split = divide(reading, list(zip(shots, pictures, strict=True)))
    tell("finding the box of the scene")
    placement = reading.placement or find_place(train, reading, options, transparent=transparent)

    check_placement(reading, placement, shots)

    def views(shots: Sequence[Unplaced]) -> tuple[View, ...]:
        return tuple(View(shot.placed(placement.transform), shot.image, shot.valid, shot.name) for shot in shots)

    return Scene(
        name=reading.name,
        train=views(train),
        test=views(test),
        box=placement.box,
        transform=placement.transform,
        background=(1.0, 1.0, 1.0) if transparent else (0.0, 0.0, 0.0),
        transparent=transparent,
        facts=(*reading.facts, *missing, *read_as, *split, *found, *placement.facts),
    )


def assemble_memory(images: Tensor, poses: Tensor, intrinsics: Intrinsics | Sequence[Intrinsics], name: str) -> Scene:
    """A scene of pictures (N, H, W, 3 or 4), uint8 or float in [0, 1], with poses (N, 4, 4), camera-to-world in OpenGL
    axes, and one lens for all or N. Every 8th picture is for test. ValueError for what does not fit together."""
    lenses = [intrinsics] * len(images) if isinstance(intrinsics, Intrinsics) else list(intrinsics)
    if images.dim() != 4 or images.shape[-1] not in (3, 4) or not len(images):
        raise ValueError(f"{name}: wanted pictures (N, H, W, 3 or 4), N > 0, found {tuple(images.shape)}")
    if not len(images) == len(poses) == len(lenses):
        raise ValueError(f"{name}: found {len(images)} pictures, {len(poses)} poses and {len(lenses)} lenses")
    pixels = images if images.dtype == torch.uint8 else (images.float().clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    size = pixels.shape[2], pixels.shape[1]
    opaque = pixels.new_full((*pixels.shape[:3], 1), 255)
    rgba = torch.cat([pixels, opaque], -1) if pixels.shape[-1] == 3 else pixels.clone()
    rigid, scaled = take_out_scale(list(poses), [f"{name}: pose {i}" for i in range(len(poses))])
    pictures = tuple(
        Posed(f"{i:05d}", picture, pose, lens, size)
        for i, (picture, pose, lens) in enumerate(zip(rgba, rigid, lenses, strict=True))
    )
    facts = (Fact("found", f"format: {len(pictures)} pictures of {size[0]} x {size[1]} from memory"), *scaled)
    return assemble(Reading(name, name, pictures, facts), ReadOptions())


def find_place(shots: Sequence[Unplaced], reading: Reading, options: ReadOptions, *, transparent: bool) -> Placement:
    """Where the cameras and pictures say that the scene is. SceneError for poses that seem to be written otherwise."""
    found = place(shots, transparent=transparent, aabb_scale=None if transparent else reading.aabb_scale)
    if options.poses != "auto" or hulled(found.facts):
        return found
    if doubt := suspect(shots, transparent=transparent):
        name, why = doubt
        way = f"--poses {name} reads them so, --poses opengl as they are"
        raise SceneError(f"{reading.source}: its poses seem to be {describe(name)}: {why}; {way}")
    return found


def turn_poses(every: Sequence[Posed], reading: Reading, options: ReadOptions) -> tuple[Sequence[Posed], list[Fact]]:
    """Pictures with the poses that `options` says they have, and the fact."""
    if options.poses in ("auto", "opengl"):
        return every, []
    if reading.placement:
        raise SceneError(f"{reading.source}: has no poses of its own that --poses {options.poses} could be about")
    fact = f"poses: read as {describe(options.poses)}, as --poses says"
    return [replace(one, pose=turned(one.pose, options.poses)) for one in every], [Fact("assumed", fact)]


def leave_out_missing(reading: Reading, options: ReadOptions) -> tuple[tuple[Posed, ...], list[Fact]]:
    """The pictures that are there, and the fact. SceneError unless `skip_missing`, or if none is left."""
    every = reading.pictures
    there = [isinstance(one.picture, Tensor) or one.picture.is_file() for one in every]
    here = tuple(one for one, found in zip(every, there, strict=True) if found)
    if len(here) == len(every):
        return here, []
    names = [one.name for one, found in zip(every, there, strict=True) if not found]
    told = f"{len(names)} of {len(every)} pictures are missing: {list_briefly(names)}"
    if not here:
        raise SceneError(f"{reading.source}: expected pictures beside it, found none; {told}")
    if not options.skip_missing:
        raise SceneError(f"{reading.source}: {told}; --skip-missing goes on without them")
    return here, [Fact("missing", f"missing: {told}; they are skipped", len(names))]


def check_placement(reading: Reading, placement: Placement, shots: Sequence[Unplaced]) -> None:
    """SceneError where the poses' numbers leave no scene that a model could be saved of, or a camera so far from it
    that float32 does not tell where it stands."""
    try:
        check_similarity(placement.transform)
    except ValueError:
        raise SceneError(
            f"{reading.source}: the cameras' positions are too large or too small to tell a scene"
        ) from None
    for shot in shots:
        away = float(shot.placed(placement.transform).pose[:3, 3].abs().max())
        if not away <= FARTHEST:
            told = f"expected at most {FARTHEST:g} times the scene's size, found {away:.3g}"
            raise SceneError(f"{reading.source}: {shot.name}: its camera stands too far away: {told}")


def check_room(reading: Reading, sizes: Sequence[tuple[int, int]], options: ReadOptions) -> None:
    """SceneError where pictures of these sizes would not fit into the machine's memory."""
    loaded = [images.loaded_size(size, options) for size in sizes]
    wanted, there = PIXEL * sum(width * height for width, height in loaded), psutil.virtual_memory().total
    if wanted > there:
        found = f"{len(sizes)} pictures take {wanted / 2**30:.1f} GiB, this machine has {there / 2**30:.1f}"
        raise SceneError(f"{reading.source}: {found}; --downscale or --max-resolution makes them smaller")


def fetch(reading: Reading, every: Sequence[Posed], options: ReadOptions) -> tuple[list[Unplaced], bool, list[Fact]]:
    """Loaded pictures, whether they are cut out (transparent), and facts."""
    files = [one.picture for one in every]
    heads = images.headers(files)
    by_exif, facts = choose_turned(heads, [one.size for one in every])
    stored = [head.upright if turn else head.size for head, turn in zip(heads, by_exif, strict=True)]
    lenses = [fit_lens(one, size, reading) for one, size in zip(every, stored, strict=True)]
    check_room(reading, stored, options)
    depth, told = judge_depth(files, heads)
    pictures = images.read(files, options, by_exif, depth)
    loaded = [(picture.shape[1], picture.shape[0]) for picture in pictures]
    fitted = [
        lens.resized(new[0] / old[0], new[1] / old[1]) for lens, old, new in zip(lenses, stored, loaded, strict=True)
    ]
    valid, found = masks.valid(files, [one.mask for one in every], loaded)
    valid, folded = leave_out_folded(fitted, loaded, valid)
    pictures, valid, transparent, alpha = judge_alpha(pictures, valid)
    shots = [
        Unplaced(one.name, one.pose, lens, picture, keep)
        for one, lens, picture, keep in zip(every, fitted, pictures, valid, strict=True)
    ]
    if stored != loaded:
        shrunk = f"pictures: {describe_sizes(stored)} in the files, loaded at {describe_sizes(loaded)}"
        facts.insert(0, Fact("found", shrunk))
    return shots, transparent, [*facts, *told, *off_centre(every), *found, *folded, *unused(every), alpha]


def judge_depth(files: Sequence[Source], heads: Sequence[Stored]) -> tuple[int, list[Fact]]:
    """Bits of a value in the files that have room for 16, and the fact where those are fewer."""
    wide = [file for file, head in zip(files, heads, strict=True) if head.wide and isinstance(file, Path)]
    depth, largest = images.depth_used(wide) if wide else (16, 0)
    said = f"pictures: {len(wide)} files of 16 bits hold no value above {largest}, so they are read as {depth} bits"
    return depth, [Fact("assumed", said)] if depth < 16 else []


def off_centre(every: Sequence[Posed]) -> list[Fact]:
    """Lenses whose principal point lies outside of the picture that they are stated for, as in few crops."""
    odd = [
        one for one in every if not (0 <= one.intrinsics.cx <= one.size[0] and 0 <= one.intrinsics.cy <= one.size[1])
    ]
    if not odd:
        return []
    lens, (width, height) = odd[0].intrinsics, odd[0].size
    said = f"lens: the principal point ({lens.cx:g}, {lens.cy:g}) lies outside the {width} x {height} pixels it is for"
    return [Fact("doubtful", f"{said}, in {len(odd)} of {len(every)} pictures; check cx and cy, w and h")]


def fit_lens(one: Posed, size: tuple[int, int], reading: Reading) -> Intrinsics:
    """The lens in pixels of the file, whose `size` may differ from the stated one. SceneError for another shape."""
    width, height = one.size
    if not alike(size, one.size):
        raise SceneError(
            f"{reading.source}: {one.name}: expected a picture shaped {width} x {height}, found {size[0]} x {size[1]}"
        )
    return one.intrinsics.resized(size[0] / width, size[1] / height)


def leave_out_folded(
    lenses: Sequence[Intrinsics], sizes: Sequence[tuple[int, int]], valid: Sequence[Tensor]
) -> tuple[list[Tensor], list[Fact]]:
    """Masks (H, W) without the pixels that a lens shows nothing in, and the fact where there are any."""
    sees = {key: shown(*key) for key in set(zip(lenses, sizes, strict=True))}
    kept = [keep & sees[key] for keep, key in zip(valid, zip(lenses, sizes, strict=True), strict=True)]
    beyond = [1 - float(sees[key].float().mean()) for key in zip(lenses, sizes, strict=True)]
    count = sum(share > 0 for share in beyond)
    if not count:
        return list(valid), []
    share, pictures = f"{sum(beyond) / len(beyond):.1%} of the pixels", f"in {count} of {len(beyond)} pictures"
    words = f"lens: its distortion folds within the picture; {share}, {pictures}, show nothing and are ignored"
    return kept, [Fact("ignored", words)]


def judge_alpha(pictures: list[Tensor], valid: list[Tensor]) -> tuple[list[Tensor], list[Tensor], bool, Fact]:
    """Pictures and masks, whether the set is cut out, and the fact. Cut out: half of the pictures have empty parts.

    In any other set alpha below a half is a mask: those pixels become invalid, and all pixels opaque.
    """
    empty = [float((picture[..., 3] == 0).float().mean()) for picture in pictures]
    cut = sum(share > EMPTY_SHARE for share in empty)
    if 2 * cut >= len(pictures):
        fact = f"alpha: {cut} of {len(pictures)} pictures have empty parts, {sum(empty) / len(empty):.1%} of all pixels"
        return pictures, valid, True, Fact("found", fact)
    if all(bool((picture[..., 3] == 255).all()) for picture in pictures):
        return pictures, valid, False, Fact("found", "alpha: none, the pictures are opaque")
    valid = [keep & (picture[..., 3] >= 128) for keep, picture in zip(valid, pictures, strict=True)]
    for picture in pictures:
        picture[..., 3] = 255
    fact = f"alpha: only {cut} of {len(pictures)} pictures have empty parts, so alpha is a mask"
    return pictures, valid, False, Fact("assumed", fact)


def unused(every: Sequence[Posed]) -> list[Fact]:
    """What the pictures bring and nothing asks for yet."""
    times, depths = sum(one.time is not None for one in every), sum(one.depth is not None for one in every)
    facts = [f"time: {times} pictures say when they were taken; the scene is taken to stand still"] if times else []
    facts += [f"depth: {depths} pictures have one, which is not used"] if depths else []
    return [Fact("ignored", fact) for fact in facts]


def describe_sizes(sizes: Sequence[tuple[int, int]]) -> str:
    """Picture sizes in words."""
    distinct = sorted(set(sizes))
    if len(distinct) == 1:
        return f"{distinct[0][0]} x {distinct[0][1]}"
    return f"{distinct[0][0]} x {distinct[0][1]} to {distinct[-1][0]} x {distinct[-1][1]}"
