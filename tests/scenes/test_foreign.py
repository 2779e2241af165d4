"""What other programs leave is named in the refusal, with what to do: no message denies what is there."""

import json

import drawn
import pytest
import torch

from scenes.assemble import load
from scenes.options import ReadOptions, SceneError
from scenes.paths import expect, look

POSED = {"file_path": "a.png", "transform_matrix": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}
COLMAP, METASHAPE = "holds a COLMAP model (", "a camera file of Metashape"


def lay(folder, *names, content=b"\0"):
    """Files of these names and of this content."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def refusal(path):
    """The message, which must be one short line that begins with the path and does not list what is wanted."""
    with pytest.raises(SceneError) as caught:
        expect(str(path), "scene")
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert len(text) - len(str(path)) < 240
    assert "wanted" not in text
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("names", "said", "advice"),
    [
        (
            ["sparse/0/cameras.bin", "sparse/0/images.bin"],
            "holds a COLMAP model (sparse/0/cameras.bin), ",
            "ns-process",
        ),
        (["sparse/cameras.txt", "sparse/images.txt"], "holds a COLMAP model (sparse/cameras.txt), ", "--skip-colmap"),
        (["cameras.bin"], "holds a COLMAP model (cameras.bin), ", "ns-process-data images"),
        (["database.db", "images/a.jpg"], "holds a COLMAP database (database.db), ", "colmap mapper"),
        (["poses_bounds.npy", "images/a.png"], "holds a file of LLFF poses (poses_bounds.npy), ", "llff2nerf.py"),
        (["intrinsics.txt", "pose/0_0.txt", "rgb/0_0.png"], "holds an NSVF data set (intrinsics.txt), ", "nsvf2nerf"),
        (["cameras_sphere.npz", "image/0.png"], "holds a camera file of IDR, NeuS or DTU", "data_format_from_neus"),
        (["cameras.sfm", "images/0.JPG"], "holds a Meshroom scene (cameras.sfm), ", "mr2nerf"),
        (["sfm_data.json"], "holds an OpenMVG scene (sfm_data.json), ", "openMVG_main_openMVG2Colmap"),
        (["keyframes/corrected_cameras/1.json", "keyframes/images/1.jpg"], "holds a Polycam capture (keyf", "polycam"),
        (["scan.R3D"], "holds a Record3D capture (scan.R3D), ", "ns-process-data record3d"),
        (["metadata.json", "rgba_00000.png"], "holds a Kubric scene (metadata.json), ", "quaternions"),
        (["dataset.json", "camera/000.json", "rgb/1x/000.png"], "holds a Nerfies or HyperNeRF capture", "hyper2nerf"),
        (
            ["cams/00000000_cam.txt", "pair.txt", "a.jpg"],
            "holds a camera file of MVSNet (cams/0000",
            "invert",
        ),
        (["opensfm/reconstruction.json"], "holds an OpenDroneMap or OpenSfM reconstruction", "ns-process-data odm"),
        (["a.MP4"], "holds a video (a.MP4), ", "colmap2nerf.py --video_in"),
        (["IMG_1.HEIC", "IMG_2.HEIC"], "holds a HEIC or AVIF picture (IMG_1.HEIC), ", "as JPEG"),
        (["a.exr"], "holds a picture of high dynamic range (a.exr), ", "PNG"),
        (["a.CR2"], "holds a camera raw file (a.CR2), ", "JPEG"),
        (["a.splat"], "holds Gaussian splats (a.splat), ", "pictures that they were made of"),
        (["scene.usdz"], "holds a 3D file (scene.usdz), ", "as .glb"),
        (["all.zip"], "holds an archive (all.zip), ", "unpack"),
        (["chair.obj", "chair.png"], "holds a mesh (chair.obj); ", "give that file"),
        (["model.safetensors"], "holds a model (model.safetensors); ", "give that file"),
        (["lego/transforms_train.json", "drums/transforms.json"], "holds data sets (drums/tr", "the folder of one"),
        (
            ["a.JPG", "b.jpeg", "c.webp", "d.TIF"],
            "4 pictures but no camera poses (COLMAP and instant-ngp's",
            "colmap2nerf",
        ),
        (
            ["a.jpg", "b.heic"],
            "1 pictures but no camera poses (COLMAP",
            "; beside them a HEIC or AVIF picture (b.heic)",
        ),
    ],
)
def test_a_folder_is_told_by_its_files(tmp_path, names, said, advice):
    text = refusal(lay(tmp_path / "it", *names))
    assert text.startswith(said)
    assert advice in text


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.xml", b'<?xml version="1.0"?>\n<document version="1.5.0">\n <chunk>', METASHAPE),
        ("a.csv", b"#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\n", "a camera file of RealityCapture"),
        ("a.xmp", b'<x:xmpmeta xmlns:x="adobe:ns:meta/"> <rdf:Description xcr:Version="3"', "of RealityCapture"),
        ("a.xml", b'<?xml version="1.0"?>\n<BlocksExchange version="3.0">', "a camera file of ContextCapture"),
        ("a.ply", b"ply\nformat binary_little_endian 1.0\nproperty float f_dc_0\nend_header\n", "Gaussian splats"),
        ("a.jpg", b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC or AVIF picture"),
        ("a", b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        ("a.mov", b"", "a video"),
        ("data", b"PK\x03\x04", "an archive"),
        ("a.NPZ", b"PK\x03\x04", "a file of arrays"),
        ("x.blend", b"BLENDER-v300", "a 3D file"),
        ("x.ingp", b"", "a model of another program"),
        ("poses_bounds.npy", b"", "a file of LLFF poses"),
    ],
)
def test_a_file_is_told_by_its_name_and_its_first_bytes(tmp_path, name, content, said):
    path = lay(tmp_path, name, content=content) / name
    text = refusal(path)
    assert text.startswith("is ")
    assert f"{said}, which cannot be read; " in text


def test_xml_in_a_folder_is_told_by_its_first_bytes(tmp_path):
    lay(tmp_path, "images/a.jpg", "a.xml", content=b"<html>")
    assert refusal(tmp_path).startswith("1 pictures but no camera poses")
    lay(tmp_path, "b.xml", content=b'<?xml version="1.0"?>\n<document version="1.5.0">')
    assert refusal(tmp_path).startswith(f"holds {METASHAPE} (b.xml), ")


def test_json_of_another_name_is_pointed_to(tmp_path):
    lay(tmp_path, "sparse/0/cameras.bin", "images/a.png")
    drawn.write(tmp_path / "transform_train.json", {"frames": [POSED]})
    assert refusal(tmp_path) == (
        "holds a COLMAP model (sparse/0/cameras.bin), which cannot be read; "
        "give its transform_train.json, which holds frames"
    )


def test_a_json_file_is_told_by_what_lies_beside_it(tmp_path):
    drawn.write(tmp_path / "metadata.json", {"camera": {}})
    found = look(str(tmp_path / "metadata.json"))
    assert not found.known
    assert "has no 'frames'" in found.reason
    lay(tmp_path, "rgba_00000.png")
    assert refusal(tmp_path / "metadata.json").startswith("is a Kubric scene, which cannot be read; ")


def test_a_data_set_named_like_another_programs_file_is_read(tmp_path):
    drawn.transforms(tmp_path / "camera")
    assert look(str(tmp_path / "camera" / "transforms.json")).kind == "scene"


def test_meshes_with_faces_stay_meshes(tmp_path):
    lay(tmp_path, "ball.PLY", content=b"ply\nformat ascii 1.0\nelement face 3\n")
    assert look(str(tmp_path / "ball.PLY")).format == "mesh"


def test_nothing_known_lists_what_is_wanted(tmp_path):
    lay(tmp_path, "notes.txt")
    with pytest.raises(SceneError, match="folder holds no data set that is known; wanted a data set"):
        expect(str(tmp_path), "scene")


def test_names_of_files_never_reach_the_terminal_raw(tmp_path):
    lay(tmp_path, "a\x1b[31m.mp4")
    assert "\x1b" not in refusal(tmp_path)


def test_a_heic_picture_among_the_frames_is_named(tmp_path):
    content = drawn.transforms(tmp_path)
    (tmp_path / "images/004.png").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert json.loads((tmp_path / "transforms.json").read_text()) == content
    with pytest.raises(SceneError, match=r"images/004\.png: is a HEIC or AVIF picture, which cannot be read; save"):
        load(str(tmp_path), ReadOptions())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("colmap_distorted_snowmiku", "holds a COLMAP model (distorted/sparse/0/cameras.bin), "),
        ("colmap_masks_duckqueen", "holds a COLMAP model (sparse/0/cameras.bin), "),
        ("meshroom_sfm", "holds a Meshroom scene (cameras.sfm), "),
        ("metashape_xml", "holds a camera file of Metashape (cameras.xml), "),
        ("nsvf_lego", "holds an NSVF data set (intrinsics.txt), "),
        ("photos_heic", "holds a HEIC or AVIF picture (example.heic), "),
        ("video_mp4", "holds a video (robot.mp4), "),
        ("photos_exif", "4 pictures but no camera poses"),
        ("meshes", "holds a mesh ("),
        (
            "dtu_idr_scan65",
            "holds a camera file of IDR, NeuS or DTU (cameras_sphere.npz), which cannot be read; give",
        ),
        (
            "llff_fern",
            "holds a file of LLFF poses (poses_bounds.npy), which cannot be read; give its transforms",
        ),
    ],
)
def test_captures(capture, name, said):
    assert refusal(capture(f"captures/{name}")).startswith(said)


def test_pictures_of_all_kinds_are_counted(tmp_path):
    drawn.save(tmp_path / "a.png", torch.zeros(4, 4, dtype=torch.uint8))
    lay(tmp_path, "b.Jpeg")
    assert refusal(tmp_path).startswith("2 pictures but no camera poses")


def test_links_are_followed_and_may_go_round(tmp_path):
    lay(tmp_path / "elsewhere", "a.jpg")
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "images").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "it")
    assert refusal(tmp_path / "it").startswith("1 pictures but no camera poses")
