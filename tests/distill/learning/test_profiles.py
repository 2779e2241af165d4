"""The listing of presets: sizes as built, figures as measured, nothing else."""

import io
import json

from rich.console import Console

import fields
from distill.learning import profiles
from fields.shape import preset
from fields.space import CUBE


def test_every_preset_is_listed_with_the_bytes_that_its_file_holds(generator):
    found = list(profiles.profiles())
    wanted = [(name, preset) for name in fields.NAMES for preset in fields.module(name).PRESETS]
    assert [(p.architecture, p.preset) for p in found] == wanted
    for one in found:
        if one.preset == "tiny":
            field = preset(one.architecture, "tiny").final.build(CUBE, generator)
            parts = [*field.architecture.stored().values(), *field.head.stored().values()]
            assert one.weight_bytes == sum(t.numel() * t.element_size() for t in parts)


def test_measured_figures_carry_data_time_and_device(tmp_path, monkeypatch):
    row = {"architecture": "hashgrid", "preset": "tiny", "psnr": 25.125, "train_seconds": 60.2}
    row |= {"frame_ms_median": 5.0, "model_bytes": 1000, "parameters": 400}
    failed = {"architecture": "hashgrid", "preset": "small", "error": "no"}
    record = [{"data": "chair", "device": "cpu, 2 threads", "rows": [row, failed], "seconds": 60.0, "scored_on": "3"}]
    (tmp_path / "p.json").write_text(json.dumps(record))
    monkeypatch.setattr(profiles, "MEASURED", tmp_path / "p.json")
    lines = {p.preset: p.measured for p in profiles.profiles() if p.architecture == "hashgrid"}
    assert lines["tiny"] == ("25.12 dB on chair after 60 s (cpu, 2 threads)",)
    assert lines["small"] == ()


def test_what_is_shipped_fits_the_presets_there_are():
    records = json.loads(profiles.MEASURED.read_text(encoding="utf-8"))
    for table, record in zip(profiles.read_tables(), records, strict=True):
        assert table.data
        assert table.device
        for row in table.rows:
            assert row.preset in fields.module(row.architecture).PRESETS
        assert len(table.rows) == len(record["rows"])  # none that failed


def shown(**how) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(profiles.listing(**how))
    return console.export_text()


def test_the_listing_says_when_to_take_which_and_hides_what_was_never_measured():
    short, whole = shown(), shown(everything=True)
    for name in fields.NAMES:
        assert fields.module(name).WHEN in short
        assert len(fields.module(name).WHEN) <= 80
    assert "never measured" in short
    assert "│ never " not in short
    assert whole.count("│ never ") == sum(not one.measured for one in profiles.profiles())
    for one in profiles.profiles():
        assert f" {one.parameters / 1e6:.2f} M " in whole
