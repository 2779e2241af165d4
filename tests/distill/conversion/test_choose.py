"""The chooser: what limits and measured figures lead to, what is said of it, and what is refused."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from analytic import block_file, block_header

import fields
from distill.conversion.choose import TIE, choose, counted, overhead
from distill.conversion.wanted import Wanted, parse_bytes
from distill.learning import profiles
from fields.files import read_header
from fields.space import CUBE

BESIDE = 100_000  # bytes of a file besides its weights


def row(architecture, preset, psnr, frame_ms, weights=None, parameters=None):
    """A measured row, its sizes as counted where they are not given."""
    count, held = counted(architecture, preset)
    sizes = {"model_bytes": (weights or held) + 20_000, "parameters": parameters or count}
    took = {"frame_ms_median": frame_ms, "train_seconds": 60.0}
    return {"architecture": architecture, "preset": preset, "psnr": psnr, **took, **sizes}


ROWS = [
    row("cam", "small", 30.0, 200.0),  # 0.28 MB
    row("mlp", "small", 31.0, 150.0),  # 0.36 MB
    row("hashgrid", "tiny", 32.0, 90.0),  # 1.09 MB
    row("vm", "small", 35.1, 60.0),  # 10.02 MB
    row("hashgrid", "small", 35.2, 50.0),  # 12.51 MB
    row("voxels", "small", 35.3, 40.0, weights=40_000_000, parameters=10_000_000),
    row("vm", "large", 39.0, 70.0),
    {"architecture": "triplane", "preset": "small", "error": "no memory"},
]
TABLE = {"data": "fern --downscale 4", "seconds": 60.0, "scored_on": "3 pictures", "device": "cpu, 2 threads"}
TABLE |= {"rows": ROWS}


@pytest.fixture(autouse=True)
def tables(tmp_path, monkeypatch):
    """Tables in place of those that are shipped."""

    def put(*some):
        (tmp_path / "p.json").write_text(json.dumps(some))

    monkeypatch.setattr(profiles, "MEASURED", tmp_path / "p.json")
    put(TABLE)
    return put


def teacher(architecture="rbf", preset="small", data="../somewhere/fern", downscale=4, **metrics):
    """The header of a trained model."""
    module = fields.module(architecture)
    config = asdict(module.Network.final(module.PRESETS[preset]))
    recipe = {"recipe": {"data": data, "downscale": downscale}}
    header = block_header(provenance=recipe, metrics=metrics)
    return replace(header, architecture=architecture, config=config)


def name(choice):
    return f"{choice.shape.name} {choice.preset}"


def picked(wanted, header=None, device="cpu", **options):
    return choose(wanted, header or teacher(), BESIDE, device, **options)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("600kB", 600_000),
        ("5MB", 5_000_000),
        ("1.5 MiB", 1_572_864),
        ("500000", 500_000),
        ("2k", 2000),
        ("3 KiB", 3072),
        (".5gb", 500_000_000),
        ("12 B", 12),
    ],
)
def test_sizes_are_read(text, want):
    assert parse_bytes(text) == want


@pytest.mark.parametrize("text", ["", "kB", "-5MB", "5 TB", "1e6", "five", "0", "0.2B", "5 MB 3", "nan"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=r"--max-bytes wants a size such as 600kB, .* found"):
        parse_bytes(text)


@pytest.mark.parametrize("limit", [{"max_bytes": 0}, {"min_psnr": -3.0}, {"max_frame_ms": float("nan")}])
def test_limits_are_numbers_above_nothing(limit):
    with pytest.raises(ValueError, match="must be a number above 0, found"):
        Wanted(**limit)


def test_what_a_file_holds_besides_weights(tmp_path):
    path = block_file(tmp_path / "m.safetensors")
    header = read_header(path)
    beside = overhead(path, header)
    assert path.stat().st_size - beside == header.shape.stored_bytes
    assert len(json.dumps(header.train_cameras)) < beside < path.stat().st_size


@pytest.mark.parametrize(
    ("limits", "want"),
    [
        ({}, "vm small"),  # voxels has 0.2 dB more and hashgrid 0.1: ties, and vm is the smallest file
        ({"max_bytes": 5_000_000}, "hashgrid tiny"),
        ({"max_bytes": 1_000_000}, "mlp small"),
        ({"max_bytes": 300_000}, "cam small"),
        ({"max_frame_ms": 55.0}, "hashgrid small"),
        ({"max_frame_ms": 45.0}, "voxels small"),
        ({"min_psnr": 35.25}, "voxels small"),
        ({"max_bytes": 13_000_000, "max_frame_ms": 55.0, "min_psnr": 35.0}, "hashgrid small"),
        ({"max_bytes": 60_000_000, "max_frame_ms": 45.0}, "voxels small"),  # as measured: 40 MB; by count 112
    ],
)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_best_within_the_limits_is_taken_and_of_ties_the_smallest(limits, want, device):
    choice = picked(Wanted(**limits), device=device)
    assert name(choice) == want
    assert choice.shape.config == fields.module(choice.shape.name).PRESETS[choice.preset]


def test_a_tie_ends_where_it_says(tables):
    for gap, want in ((TIE - 0.01, "mlp small"), (TIE + 0.01, "hashgrid small")):
        rows = [row("mlp", "small", 30.0, 1.0), row("hashgrid", "small", 30.0 + gap, 1.0)]
        tables(TABLE | {"rows": rows})
        assert name(picked(Wanted())) == want


def test_it_is_said_what_was_chosen_why_and_what_came_second():
    lines = picked(Wanted(max_bytes=13_000_000)).why
    assert lines[0] == "into vm small, 35.10 dB, about 10.02 MB, 60 ms per frame"
    assert lines[1] == "meets --max-bytes 13.00 MB"
    assert lines[2].startswith("second: hashgrid small, 35.20 dB, about 12.51 MB, 50 ms per frame; 0.10 dB more, ")
    assert lines[3] == (
        "measured on this scene, fern --downscale 4, after 60 s of training from photographs (cpu, 2 threads; "
        "3 pictures): an expectation, not a promise"
    )
    lines = picked(Wanted(max_bytes=1_000_000)).why
    assert lines[2] == "second: cam small, 30.00 dB, about 280 kB, 200 ms per frame; 1.00 dB less"
    assert lines[3] == "without --max-bytes 1.00 MB: vm small, 35.10 dB, about 10.02 MB, 60 ms per frame"
    lines = picked(Wanted(min_psnr=31.5, max_bytes=2_000_000)).why
    assert lines[2].startswith("second: mlp small, 31.00 dB, about 364 kB, 150 ms per frame; misses --min-psnr 31.5")


def test_figures_from_elsewhere_are_told_as_such():
    assert "measured on another scene, fern" in picked(Wanted(), teacher(data="other")).why[-1]
    assert "(cpu, 2 threads, as nothing was measured on cuda yet; " in picked(Wanted(), device="cuda").why[-1]
    assert "measured on this scene" in picked(Wanted(), teacher(downscale=1)).why[-1]


def test_a_teacher_below_the_limit_is_told():
    wanted = Wanted(min_psnr=33.0)
    lines = picked(wanted, teacher(psnr=32.0, scored_on="8 pictures")).why
    assert "the model itself has 32.00 dB (8 pictures): a student seldom has more" in lines
    assert not any("seldom" in line for line in picked(wanted, teacher(psnr=34.0)).why)


def test_the_table_that_is_most_like_the_model_counts(tables):
    def table(best, **changes):
        others = [row(n, "small", 20.0, 1.0) for n in ("cam", "mlp", "vm", "hashgrid") if n != best]
        return TABLE | {"rows": [row(best, "small", 30.0, 1.0), *others[: changes.pop("others", 3)]]} | changes

    longest = table("cam", data="a", seconds=99.0)
    tables(table("mlp", data="b", others=1, seconds=999.0), table("vm", data="c"), longest)
    assert name(picked(Wanted())) == "cam small"  # the most rows, then the longest
    assert name(picked(Wanted(), teacher(data="/x/b", downscale=1))) == "mlp small"
    tables(table("mlp", data="fern", others=1), longest, table("vm", data="fern --downscale 4", others=1))
    assert name(picked(Wanted())) == "vm small"
    assert name(picked(Wanted(), teacher(downscale=1))) == "mlp small"
    tables(longest, table("mlp", data="fern"), table("vm", data="z", device="NVIDIA H200", others=1))
    assert name(picked(Wanted(), device="cuda")) == "vm small"
    tables(longest, table("mlp", data="b --downscale 4", others=1))
    assert name(picked(Wanted())) == "cam small"  # another scene of the same size says no more
    tables(longest, table("mlp", data="builtin"))
    assert name(picked(Wanted(), teacher(data="builtin:64", downscale=1))) == "mlp small"


def test_auto_takes_neither_what_was_never_measured_nor_large_ones():
    everything = [picked(Wanted(min_psnr=psnr)) for psnr in (1.0, 31.5, 35.25)]
    assert {name(c) for c in everything} == {"vm small", "voxels small"}
    with pytest.raises(ValueError, match=r"^no measured preset meets --min-psnr 36; the best is voxels small, 35\.30"):
        picked(Wanted(min_psnr=36.0))
    assert name(picked(Wanted("vm", "large", min_psnr=36.0))) == "vm large"


def test_the_models_own_shape_is_no_choice():
    own = teacher("vm", "small")
    assert name(picked(Wanted(), own)) == "hashgrid small"
    assert name(picked(Wanted(), own, edited=True)) == "vm small"
    for wanted in (Wanted("vm"), Wanted("vm", "small"), Wanted("vm", max_bytes=20_000_000)):
        with pytest.raises(ValueError, match=r"^a\.safetensors: is already of this shape, vm small; choose another"):
            picked(wanted, own, path=Path("a.safetensors"))
        assert name(picked(wanted, own, edited=True)) == "vm small"
    assert name(picked(Wanted("vm", "tiny"), own)) == "vm tiny"
    assert name(picked(Wanted("vm", max_bytes=5_000_000), own)) == "vm tiny"


def test_a_pruned_or_grown_model_is_of_its_presets_shape():
    own = teacher("voxels", "small")
    assert own.config["rows"] == 1_000_000
    pruned = replace(own, config=own.config | {"rows": 1234})
    with pytest.raises(ValueError, match="is already of this shape, voxels small"):
        picked(Wanted("voxels"), pruned)
    finer = replace(own, config=own.config | {"degree": 3})
    assert name(picked(Wanted("voxels"), finer)) == "voxels small"


@pytest.mark.parametrize(("device", "size"), [("cpu", "small"), ("cuda", "base")])
def test_without_limits_a_named_architecture_gets_the_usual_size(device, size):
    for one in fields.NAMES:
        choice = picked(Wanted(one), teacher("cam", "tiny"), device)
        assert name(choice) == f"{one} {size}"
        assert choice.why[1] == f"{size} is the usual size on {device}"


@pytest.mark.parametrize(
    ("to", "limits", "device", "want"),
    [
        ("cam", {"max_bytes": 600_000}, "cpu", "small"),  # base would fit, and takes long on a CPU
        ("cam", {"max_bytes": 600_000}, "cuda", "base"),
        ("cam", {"max_bytes": 200_000}, "cpu", "tiny"),
        ("hashgrid", {"max_bytes": 5_000_000}, "cpu", "tiny"),
        ("hashgrid", {"max_bytes": 5_000_000}, "cuda", "tiny"),
        ("hashgrid", {"max_frame_ms": 60.0}, "cpu", "small"),
        ("vm", {"max_bytes": 80_000_000}, "cuda", "base"),
        ("triplane", {"max_bytes": 20_000_000}, "cpu", "small"),  # nothing measured: the largest that fits
        ("voxels", {"max_bytes": 50_000_000}, "cpu", "small"),
    ],
)
def test_limits_choose_the_preset_of_a_named_architecture(to, limits, device, want):
    assert picked(Wanted(to, **limits), device=device).preset == want


def test_a_larger_preset_that_would_fit_is_told():
    lines = picked(Wanted("cam", max_bytes=600_000)).why
    assert lines[2].startswith("larger, and longer to convert into: --preset base (cam base, about 584 kB, never")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted("camm"), "no architecture is named 'camm'; did you mean 'cam'"),
        (Wanted("cam", "huge"), "cam has no preset 'huge' .there are: tiny, small, base, large"),
        (Wanted("auto", "huge"), "--preset: no architecture has 'huge'"),
        (Wanted("auto", "base"), "--to auto: no such preset was measured on fern --downscale 4; name an architecture"),
        (Wanted(max_bytes=50_000), "no measured preset meets --max-bytes 50 kB; the smallest is cam small, .* frame$"),
        (
            Wanted(max_bytes=200_000),
            "the smallest is cam small, .*; never measured, but about 1[0-9]{2} kB: --to cam --preset tiny$",
        ),
        (Wanted(max_frame_ms=10.0), "no measured preset meets --max-frame-ms 10; the fastest is voxels small"),
        (
            Wanted(max_bytes=9_000_000, min_psnr=35.0),  # vm: 0.15 doublings of bytes; hashgrid tiny: 1 of the error
            r"meets --max-bytes 9\.00 MB and --min-psnr 35; the nearest is vm small, .* misses --max-bytes 9\.00",
        ),
        (
            Wanted(max_bytes=300_000, min_psnr=33.0),
            "nearest is mlp small, .* misses --max-bytes 300 kB and --min-psnr 33$",
        ),
        (Wanted(max_bytes=2_000_000, min_psnr=34.5), r"the nearest is hashgrid tiny, .* misses --min-psnr 34\.5"),
        (
            Wanted("cam", max_bytes=50_000),
            "no usual cam preset meets --max-bytes 50 kB; the smallest is cam tiny, about",
        ),
        (Wanted("vm", min_psnr=36.0), r"no usual vm .*; the best is vm small, 35\.10 .*; larger, .* --preset base"),
        (
            Wanted("triplane", min_psnr=30.0),
            "no usual triplane preset was measured, .* --min-psnr 30; name the --preset",
        ),
        (Wanted("hashgrid", "small", max_bytes=10**6), r"^--max-bytes 1\.00 MB: hashgrid small takes about 12\.51 MB$"),
        (Wanted("voxels", "small", max_bytes=10**6), r"^--max-bytes 1\.00 MB: voxels small takes about 40\.02 MB$"),
    ],
)
def test_what_cannot_be_is_one_line_with_the_nearest(wanted, message):
    with pytest.raises(ValueError, match=message) as error:
        picked(wanted)
    assert "\n" not in str(error.value)


def test_a_named_preset_is_held_against_what_is_known():
    assert (
        "meets --max-bytes 20.00 MB and --min-psnr 30"
        in picked(Wanted("hashgrid", "small", max_bytes=20_000_000, min_psnr=30.0)).why
    )
    assert "as measured it would miss --min-psnr 40" in picked(Wanted("hashgrid", "small", min_psnr=40.0)).why
    assert (
        "never measured: --min-psnr 40 can only be told afterwards" in picked(Wanted("mlp", "base", min_psnr=40.0)).why
    )
    lines = picked(Wanted("voxels", "base", max_bytes=10**8)).why
    assert lines[0].startswith("into voxels base, at most 912.")
    assert lines[1] == "whether pruning leaves less than --max-bytes 100.00 MB was never measured"
    assert len(picked(Wanted("mlp", "base")).why) == 1


def test_without_any_table_a_name_is_wanted(tables):
    tables()
    with pytest.raises(ValueError, match="--to auto: no such preset was measured; name an architecture with --to"):
        picked(Wanted())
    assert name(picked(Wanted("vm"))) == "vm small"
    assert name(picked(Wanted("cam", max_bytes=600_000))) == "cam small"


def test_the_choice_can_be_built(generator):
    choice = picked(Wanted("cam", "tiny"))
    field = choice.shape.build(CUBE, generator)
    assert field.parameter_count() > 0


def test_what_is_shipped_answers_the_two_questions_of_the_manual(monkeypatch):
    monkeypatch.setattr(profiles, "MEASURED", Path(profiles.__file__).with_name("profiles.json"))
    own = teacher("hashgrid", "small", "x/nerf_synthetic_chair", psnr=36.5)
    choice = picked(Wanted("cam", max_bytes=600_000), own)
    assert choice.shape.name == "cam"
    assert "meets --max-bytes 600 kB" in choice.why
    wanted = Wanted(max_bytes=5_000_000, min_psnr=33.0)
    try:
        choice = picked(wanted, own)
    except ValueError as error:
        assert "no measured preset meets --max-bytes 5.00 MB and --min-psnr 33; the nearest is" in str(error)
    else:
        assert "meets --max-bytes 5.00 MB and --min-psnr 33" in choice.why
        assert choice.why[2].startswith("second: ")
