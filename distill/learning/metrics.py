"""What a run gave and what it took: metrics.json, as frozen values."""

from dataclasses import dataclass, replace
from typing import Any

from rich.table import Table

from render.metrics import Quality, Score, plain

OF_PICTURES = "images"  # what of the metrics grows with the number of pictures
OF_FILE = "model_bytes"  # what of them is known only when the model file is written


@dataclass(frozen=True)
class Effort:
    """What learning took."""

    seconds: float  # without scoring
    steps: int
    samples: int
    samples_per_second: int
    parameters: int
    model_bytes: int  # of the model file; 0 before it is written
    peak_memory_bytes: int
    device: str  # for a person
    architecture: str
    preset: str

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "train_seconds": self.seconds,
            "steps": self.steps,
            "samples": self.samples,
            "samples_per_second": self.samples_per_second,
            "parameters": self.parameters,
            OF_FILE: self.model_bytes,
            "peak_memory_bytes": self.peak_memory_bytes,
            "device": self.device,
            "architecture": self.architecture,
            "preset": self.preset,
        }

    @staticmethod
    def from_record(record: dict[str, Any]) -> "Effort":
        """Inverse of `to_record`. KeyError, TypeError or ValueError where an entry is missing or has another form."""
        return Effort(
            seconds=float(record["train_seconds"]),
            steps=int(record["steps"]),
            samples=int(record["samples"]),
            samples_per_second=int(record["samples_per_second"]),
            parameters=int(record["parameters"]),
            model_bytes=int(record[OF_FILE]),
            peak_memory_bytes=int(record["peak_memory_bytes"]),
            device=str(record["device"]),
            architecture=str(record["architecture"]),
            preset=str(record["preset"]),
        )


@dataclass(frozen=True)
class Teacher:
    """The model that taught, beside its student."""

    file: str
    architecture: str
    model_bytes: int
    frame_ms: float  # milliseconds, the median of its frames
    psnr: float  # dB, of the student's pictures against the teacher's
    photographs: Score | None  # the teacher's own against the photographs that the student was scored on; None without

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values: what lies under "teacher" and "photographs"."""
        own = self.photographs
        itself = {"file": self.file, "architecture": self.architecture, OF_FILE: self.model_bytes}
        record: dict[str, Any] = {"teacher": itself | {"frame_ms_median": self.frame_ms}}
        if own:
            record["photographs"] = {"teacher_psnr": plain(own.psnr), "teacher_ssim": plain(own.ssim)}
        return record

    @staticmethod
    def from_record(record: dict[str, Any]) -> "Teacher":
        """Of a conversion's whole metrics. KeyError, TypeError or ValueError as for `Effort`."""
        itself, own = record["teacher"], record.get("photographs")
        file = str(itself["file"])
        score = Score(file, float(own["teacher_psnr"]), float(own["teacher_ssim"])) if own else None
        architecture, size, spent = str(itself["architecture"]), int(itself[OF_FILE]), float(itself["frame_ms_median"])
        return Teacher(file, architecture, size, spent, float(record["psnr_teacher"]), score)


@dataclass(frozen=True)
class Metrics:
    """Of a finished run."""

    quality: Quality  # against photographs; of a conversion without any: against the teacher's pictures
    effort: Effort
    frame_ms: float  # milliseconds, the median of the scored frames
    frame_samples_per_second: int | None  # None of a conversion, which does not tell it
    teacher: Teacher | None = None  # None of a field that learnt from photographs

    def written(self, model_bytes: int) -> "Metrics":
        """The same with the size of the model file."""
        return replace(self, effort=replace(self.effort, model_bytes=model_bytes))

    def to_record(self) -> dict[str, Any]:
        """metrics.json: plain JSON values, see `Quality.to_record`."""
        record = self.quality.to_record()
        if self.teacher:
            record["psnr_teacher"] = plain(self.teacher.psnr)
        record |= self.effort.to_record() | {"frame_ms_median": self.frame_ms}
        if self.frame_samples_per_second is not None:
            record["frame_samples_per_second"] = self.frame_samples_per_second
        return record | (self.teacher.to_record() if self.teacher else {})

    def summary(self) -> dict[str, Any]:
        """What of it the header of a model file holds."""
        return {key: value for key, value in self.to_record().items() if key not in (OF_PICTURES, OF_FILE)}

    @staticmethod
    def from_record(record: dict[str, Any]) -> "Metrics":
        """Inverse of `to_record`. ValueError where an entry is missing or has another form."""
        try:
            quality, effort = Quality.from_record(record), Effort.from_record(record)
            teacher = Teacher.from_record(record) if "teacher" in record else None
            rate = record.get("frame_samples_per_second")
            spent = float(record["frame_ms_median"])
            return Metrics(quality, effort, spent, None if rate is None else int(rate), teacher)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"metrics are damaged: {error}") from None


def table(metrics: Metrics) -> Table:
    """The end of a run, for a person."""
    return conversion_table(metrics, metrics.teacher) if metrics.teacher else training_table(metrics)


def training_table(metrics: Metrics) -> Table:
    """Of a field that learnt from photographs."""
    quality, effort = metrics.quality, metrics.effort
    result = Table(title=f"{effort.architecture} {effort.preset}", show_header=False)
    rows = {
        "PSNR": f"{quality.psnr:.2f} dB",
        "SSIM": f"{quality.ssim:.4f}",
        "scored on": str(quality.protocol),
        "trained": f"{effort.seconds:.0f} s, {effort.steps} steps",
        "throughput": f"{effort.samples_per_second / 1e6:.2f} M samples/s in training",
        "frame": f"{metrics.frame_ms:.0f} ms",
        "model": f"{effort.model_bytes / 1e6:.1f} MB, {effort.parameters / 1e6:.2f} M parameters",
        "peak memory": f"{effort.peak_memory_bytes / 1e9:.2f} GB",
        "device": effort.device,
    }
    for name, value in rows.items():
        result.add_row(name, value)
    return result


def conversion_table(metrics: Metrics, teacher: Teacher) -> Table:
    """Of a student beside its teacher."""
    quality, effort, own = metrics.quality, metrics.effort, teacher.photographs
    title = f"{teacher.architecture} into {effort.architecture} {effort.preset}"
    result = Table("", "student", "teacher", title=title)
    result.add_row("against the teacher", f"{teacher.psnr:.2f} dB", "")
    if own:
        difference = f"{quality.psnr:.2f} dB ({quality.psnr - own.psnr:+.2f})"
        result.add_row("against photographs", difference, f"{own.psnr:.2f} dB")
    result.add_row("file", f"{effort.model_bytes / 1e6:.2f} MB", f"{teacher.model_bytes / 1e6:.2f} MB")
    result.add_row("frame", f"{metrics.frame_ms:.0f} ms", f"{teacher.frame_ms:.0f} ms")
    result.add_row("took", f"{effort.seconds:.0f} s, {effort.steps} steps", "")
    result.caption = str(quality.protocol)
    return result
