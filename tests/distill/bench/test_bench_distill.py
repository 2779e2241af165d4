"""The matrix of conversions: who meets whom, what the figures mean, what failures and interruptions leave; ablation."""

import io
import json
import sys
from itertools import permutations
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

import fields
from distill import bench_scene
from distill.bench import ablation as bench_ablation
from distill.bench import conversions as bench_distill
from distill.bench.architectures import Contest, Entrant, Standing
from distill.bench.charts import draw_heat, require_matplotlib
from distill.bench.conversions import Match, convert_all
from distill.bench.matrix import ConversionMatrix, Converted, Figures, Graduate, compare_with_trained, save_matrix
from distill.bench.results import Failure
from distill.bench.timing import Machine
from distill.learning.metrics import Effort, Metrics, Teacher
from render.metrics import Protocol, Quality, Score

QUIET = Console(quiet=True)
EIGHT = Protocol("test", (1.0, 1.0, 1.0), (48, 48), 8)
MACHINE = Machine("cpu", 2, False, "2", "0", "AVX2")
CAST = ("hashgrid:tiny", "mlp:tiny", "vm:tiny")


def match(only=CAST, seconds=2.0, resume=False, **given):
    contest = Contest("builtin:48", 1, given.get("downscale", 1), "cpu", "tiny", only)
    return Match(contest, seconds, given.get("teachers", Path("none")), True, resume)


def effort(seconds, device="cpu, 1 threads"):
    return Effort(seconds, 7, 100, 50, 10, 1000, 1 << 20, device, "vm", "tiny")


def printed(psnr, teacher=30.0, seconds=2.0):
    """What convert-scene found."""
    taught = Teacher("t.safetensors", "mlp", 2000, 4.0, 33.0, Score("t.safetensors", teacher, 0.9))
    return Metrics(Quality((Score("a", psnr, 0.8),), EIGHT), effort(seconds), 5.0, None, taught)


def trained(psnr=28.0, seconds=10.0, protocol=EIGHT, architecture="vm", device="cpu, 1 threads"):
    """A field from photographs."""
    found = Metrics(Quality((Score("a", psnr, 0.8),), protocol), effort(seconds, device), 5.0, 1000)
    return Graduate(Standing(Entrant(architecture, "tiny"), found), f"of {architecture}")


@pytest.fixture
def staged(monkeypatch):
    """Teachers that need no training, and conversions that are answered at once; what was asked for is noted."""
    calls, answers = [], {}

    def teachers(given, _):
        return {one: trained(architecture=one.architecture) for one in given.entrants()}

    def run_command(module, words, log, seconds, console):
        assert (module, seconds) == ("distill.convert_scene", 2.0)
        pair = Path(words[0]).parent.name, f"{words[words.index('--to') + 1]}-{words[words.index('--preset') + 1]}"
        assert log.parent.name == Path(words[words.index("--out") + 1]).name
        calls.append((pair, words))
        answer = answers.get(pair, printed(29.0))
        if answer is KeyboardInterrupt:
            raise KeyboardInterrupt
        return answer

    for module in (bench_distill, bench_ablation):
        monkeypatch.setattr(module, "train_teachers", teachers)
    monkeypatch.setattr(bench_distill, "is_there", lambda folder: True)
    monkeypatch.setattr(bench_distill, "run_command", run_command)
    return calls, answers


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["bench-scene", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        bench_scene.main()
    return end.value.code


def lines_of(table):
    """What a person sees, as words."""
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(table)
    return [line.split() for line in console.export_text().splitlines()]


def test_entries_are_all_architectures_without_variants_or_the_named_ones_once():
    assert match(()).entrants() == [Entrant(name, "tiny") for name in fields.NAMES]
    assert match(("mlp:small", "mlp", "mlp:tiny")).entrants() == [Entrant("mlp", "small"), Entrant("mlp", "tiny")]
    with pytest.raises(ValueError, match="two architectures or more in --only, found 1"):
        match(("mlp", "mlp:tiny")).entrants()


def test_figures_are_differences_of_what_was_printed():
    row = Figures.of(printed(29.25, teacher=30.0))
    assert (row.psnr, row.teacher_psnr, row.difference) == (29.25, 30.0, -0.75)
    assert (row.psnr_teacher, row.seconds, row.model_bytes) == (33.0, 2.0, 1000)
    assert Figures.from_record(json.loads(json.dumps(row.to_record()))) == row


def test_speed_up_is_told_only_where_the_student_is_as_good_as_a_trained_one():
    row = Figures.of(printed(29.0, seconds=2.0))
    better = compare_with_trained(row, trained(28.0, seconds=10.0))
    assert better is not None
    assert (better.gain, better.speed_up, better.psnr) == (1.0, 5.0, 28.0)
    equal, behind = (compare_with_trained(row, trained(db)) for db in (29.0, 29.5))
    assert equal is not None and behind is not None
    assert equal.speed_up == 5.0
    assert (behind.gain, behind.speed_up) == (-0.5, None)
    failed = Graduate(Standing(Entrant("vm", "tiny"), Failure("no memory")))
    pair = Entrant("mlp", "tiny"), Entrant("vm", "tiny")
    for other in (trained(protocol=Protocol("test", (1.0, 1.0, 1.0), (48, 48), 25)), failed):
        assert compare_with_trained(row, other) is None
        record = Converted(*pair, row).to_record(other)
        assert (record["gain"], record["speed_up"], record["photographs_psnr"]) == (None, None, None)


def test_the_keys_of_the_matrix_are_those_of_published_ones():
    pair = Entrant("mlp", "tiny"), Entrant("vm", "tiny")
    both = trained(architecture="mlp"), trained()
    record = ConversionMatrix("chair", 2.0, "cpu", both, (Converted(*pair, Figures.of(printed(29.0))),)).to_record()
    assert list(record) == ["data", "seconds", "on", "teachers", "rows"]
    known = ["architecture", "preset", "psnr", "train_seconds", "steps", "scored_on", "device", "digest"]
    assert list(record["teachers"][0]) == known
    names = {"teacher", "teacher_preset", "student", "student_preset", "digest", "scored_on", "device"}
    figures = {"psnr", "teacher_psnr", "difference", "train_seconds", "steps", "model_bytes", "frame_ms_median"}
    beside = {"psnr_teacher", "photographs_psnr", "photographs_seconds", "gain", "speed_up"}
    assert set(record["rows"][0]) == names | figures | beside


def test_every_ordered_pair_is_converted_and_a_failing_one_stays_with_its_reason(staged, tmp_path):
    calls, answers = staged
    answers["mlp-tiny", "vm-tiny"] = Failure("no memory")
    result = convert_all(match(), tmp_path, QUIET)
    assert [pair for pair, _ in calls] == list(permutations(("hashgrid-tiny", "mlp-tiny", "vm-tiny"), 2))
    rows = result.to_record()["rows"]
    errors = {(r["teacher"], r["student"]): r["error"] for r in rows if "error" in r}
    assert errors == {("mlp", "vm"): "no memory"}
    assert result.to_record() == json.loads((tmp_path / "distill.json").read_text())
    words = calls[0][1]
    for flag, value in {"--max-seconds": "2.0", "--data": "builtin:48", "--downscale": "1", "--device": "cpu"}.items():
        assert words[words.index(flag) + 1] == value


def test_all_failing_is_one_line(staged, tmp_path):
    _, answers = staged
    answers |= {pair: Failure("no memory") for pair in permutations(("mlp-tiny", "vm-tiny"))}
    with pytest.raises(ValueError, match="no pair could be converted: no memory"):
        convert_all(match(("mlp", "vm")), tmp_path, QUIET)


def test_an_interruption_leaves_what_is_done_and_resume_does_the_rest(staged, tmp_path, monkeypatch):
    calls, answers = staged
    answers["mlp-tiny", "hashgrid-tiny"] = KeyboardInterrupt
    answers["hashgrid-tiny", "vm-tiny"] = Failure("no memory")
    with pytest.raises(KeyboardInterrupt):
        convert_all(match(), tmp_path, QUIET)
    assert len(json.loads((tmp_path / "distill.json").read_text())["rows"]) == 2
    answers.clear()
    calls.clear()
    result = convert_all(match(resume=True), tmp_path, QUIET)
    assert len(calls) == 5  # all but the one that went well
    assert [found.psnr for found in result.figures().values()] == [29.0] * 6
    calls.clear()
    convert_all(match(), tmp_path, QUIET)
    assert len(calls) == 6  # nothing is kept unasked


def test_an_interrupted_resumption_loses_nothing(staged, tmp_path):
    _, answers = staged
    answers["hashgrid-tiny", "vm-tiny"] = Failure("no memory")
    convert_all(match(), tmp_path, QUIET)
    answers["hashgrid-tiny", "vm-tiny"] = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        convert_all(match(resume=True), tmp_path, QUIET)
    rows = json.loads((tmp_path / "distill.json").read_text())["rows"]
    order = list(permutations(("hashgrid", "mlp", "vm"), 2))
    assert [(row["teacher"], row["student"]) for row in rows] == [pair for pair in order if pair != ("hashgrid", "vm")]
    answers.clear()
    rows = convert_all(match(resume=True), tmp_path, QUIET).rows
    assert [(row.teacher.architecture, row.student.architecture) for row in rows] == order


@pytest.mark.parametrize("change", ["teacher", "protocol", "file"])
def test_resume_keeps_nothing_of_another_teacher_or_protocol(staged, tmp_path, change):
    calls, _ = staged
    convert_all(match(("mlp", "vm")), tmp_path, QUIET)
    record = tmp_path / "distill.json"
    result = json.loads(record.read_text())
    if change == "teacher":
        result["rows"][0]["digest"] = "of another"
    else:
        result["seconds"] = 3.0
    record.write_text("[]" if change == "file" else json.dumps(result))
    calls.clear()
    convert_all(match(("mlp", "vm"), resume=True), tmp_path, QUIET)
    assert len(calls) == {"teacher": 1}.get(change, 2)


def test_tables_show_losses_failures_and_the_fastest_teacher(staged, tmp_path):
    _, answers = staged
    answers["hashgrid-tiny", "mlp-tiny"] = printed(28.5, seconds=1.0)
    answers["vm-tiny", "mlp-tiny"] = printed(31.0, seconds=4.0)
    answers["mlp-tiny", "vm-tiny"] = Failure("no memory")
    answers["hashgrid-tiny", "vm-tiny"] = printed(27.0)
    result = convert_all(match(), tmp_path, QUIET)
    lines = lines_of(result.to_table())
    assert ["hashgrid", "30.00", "-", "-1.50", "-3.00"] in lines
    assert ["mlp", "30.00", "-1.00", "-", "failed"] in lines
    assert ["mlp", "into", "vm:", "no", "memory"] in lines
    lines = lines_of(result.bests_table())
    assert ["mlp", "28.00", "10", "hashgrid", "28.50", "+0.50", "1", "10.0", "x"] in lines
    assert ["vm", "28.00", "10", "hashgrid", "27.00", "-1.00", "2", "-"] in lines


def test_the_table_says_where_trained_and_converted_ran_differently():
    one = Converted(Entrant("mlp", "tiny"), Entrant("vm", "tiny"), Figures.of(printed(29.0)))
    failed = Graduate(Standing(Entrant("mlp", "tiny"), Failure("")))
    alike = ConversionMatrix("chair", 2.0, "cpu", (trained(),), (one,)).note()
    other = ConversionMatrix("chair", 2.0, "cpu", (trained(device="cpu, 2 threads"), failed), (one,)).note()
    assert "trained on" not in alike
    assert "trained on cpu, 2 threads, converted on cpu, 1 threads" in other


def test_heat_maps_are_centred_and_show_every_number(staged, tmp_path):
    _, answers = staged
    answers["mlp-tiny", "vm-tiny"] = Failure("no memory")
    result = convert_all(match(), tmp_path, QUIET)
    with Image.open(save_matrix(result, MACHINE, tmp_path)["plot"]) as image:
        assert image.size[0] > 800
        assert len(image.convert("RGB").getcolors(1 << 20)) > 20
    axes = require_matplotlib().figure.Figure().subplots()
    drawn = draw_heat(axes, [[None, -9.0], [0.0, 2.5]])
    assert [text.get_text() for text in axes.texts] == ["-9.00", "+0.00", "+2.50"]
    red, green, blue, _ = drawn.to_rgba([[0.0]])[0, 0]
    assert min(red, green, blue) > 0.9  # no difference has no colour
    loss, gain = drawn.to_rgba([[-2.5, 2.5]])[0, :, :3]
    assert loss[0] > loss[2]  # orange
    assert gain[2] > gain[0]  # purple


def test_the_ablation_gives_every_variant_its_flags(staged, tmp_path, monkeypatch, capsys):
    calls, _ = staged
    words = ["builtin:48", "--distill", "--ablation", "--preset", "tiny", "--convert-seconds", 2, "--out", tmp_path]
    assert run(monkeypatch, *words) == 0
    assert {pair for pair, _ in calls} == {("hashgrid-tiny", "mlp-tiny")}
    assert len({words[words.index("--out") + 1] for _, words in calls}) == len(bench_ablation.VARIANTS)
    tails = [tuple(words[words.index("--out") + 2 :]) for _, words in calls]
    assert tails == list(bench_ablation.VARIANTS.values())
    stored = json.loads((tmp_path / "ablation.json").read_text())
    assert [row["variant"] for row in stored["rows"]] == list(bench_ablation.VARIANTS)
    assert "rays only" in capsys.readouterr().out


def test_the_real_chain_trains_converts_scores_and_plots(in_this_process, monkeypatch, tmp_path, capfd):
    common = ["builtin:48", "--distill", "--only", "hashgrid:tiny", "mlp:tiny", "--out", tmp_path]
    assert run(monkeypatch, *common, "--seconds", 0.5, "--convert-seconds", 0.3) == 0
    out = capfd.readouterr().out
    stored = json.loads((tmp_path / "distill.json").read_text())
    assert [(row["teacher"], row["student"]) for row in stored["rows"]] == [("hashgrid", "mlp"), ("mlp", "hashgrid")]
    for row in stored["rows"]:
        folder = tmp_path / f"{row['teacher']}-tiny_to_{row['student']}-tiny"
        metrics = json.loads((folder / "metrics.json").read_text())
        assert row["psnr"] == metrics["psnr"]
        assert row["model_bytes"] == (folder / "model.safetensors").stat().st_size
        teacher = json.loads((tmp_path / "teachers" / f"{row['teacher']}-tiny" / "metrics.json").read_text())
        assert row["teacher_psnr"] == pytest.approx(teacher["psnr"], abs=0.2)  # stored in 8 bits or half since
        student = json.loads((tmp_path / "teachers" / f"{row['student']}-tiny" / "metrics.json").read_text())
        assert row["gain"] == row["psnr"] - student["psnr"]
        assert f"{row['difference']:+.2f}" in out
    assert (tmp_path / "distill.png").is_file()
    before = [(path, path.stat().st_mtime_ns) for path in sorted(tmp_path.rglob("*.safetensors"))]
    assert run(monkeypatch, *common, "--convert-seconds", 0.3, "--resume") == 0
    assert before == [(path, path.stat().st_mtime_ns) for path in sorted(tmp_path.rglob("*.safetensors"))]
    assert run(monkeypatch, *common, "--teachers", tmp_path / "teachers", "--downscale", 2) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert "was trained on builtin:48 --downscale 1; a teacher of builtin:48 --downscale 2 is wanted" in last
    (tmp_path / "teachers" / "mlp-tiny" / "metrics.json").write_text("{}")
    assert run(monkeypatch, *common, "--resume") == 2
    assert "are not the metrics that train-scene writes" in capfd.readouterr().err


def test_data_that_cannot_be_read_is_one_line(in_this_process, monkeypatch, tmp_path, capfd):
    (tmp_path / "none").mkdir()
    words = [tmp_path / "none", "--distill", "--only", "hashgrid:tiny", "mlp:tiny", "--out", tmp_path / "o"]
    assert run(monkeypatch, *words) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert "no teacher could be trained" in last
    assert "folder is empty" in last
