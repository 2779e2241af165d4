"""How near a picture comes to the truth: PSNR and SSIM, and the protocol they were taken under."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

WINDOW = 11  # pixels, of SSIM's Gaussian
SIGMA = 1.5  # pixels
K1, K2 = 0.01, 0.03


@dataclass(frozen=True)
class Protocol:
    """What was compared, without which the numbers mean nothing."""

    split: str  # train or test
    background: tuple[float, float, float]  # RGB in [0, 1], behind transparent parts of truth and rendering
    size: tuple[int, int]  # width, height in pixels of the largest picture
    count: int  # pictures
    downscale: int = 1  # of the pictures as stored
    psnr: str = "per picture with peak 1, then the mean over pictures; masked pixels left out"
    ssim: str = "11 x 11 Gaussian, sigma 1.5, K 0.01 0.03, whole windows, mean over RGB, then pictures; masked = truth"

    def __str__(self) -> str:
        """One line."""
        (width, height), color = self.size, " ".join(f"{c:g}" for c in self.background)
        scaled = f", downscaled by {self.downscale}" if self.downscale > 1 else ""
        return f"{self.count} {self.split} pictures, {width} x {height}{scaled}, on background {color}, sRGB values"


@dataclass(frozen=True)
class Score:
    """One picture's."""

    name: str
    psnr: float  # dB; inf where the pictures are equal
    ssim: float  # -1 to 1; nan where the picture is smaller than SSIM's window


@dataclass(frozen=True)
class Quality:
    """Scores of a split."""

    scores: tuple[Score, ...]  # at least one
    protocol: Protocol

    @property
    def psnr(self) -> float:
        """Mean over pictures in dB; inf where one picture is equal to the truth."""
        return mean([score.psnr for score in self.scores])

    @property
    def ssim(self) -> float:
        """Mean over pictures."""
        return mean([score.ssim for score in self.scores])

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values: an infinite or undefined number becomes the string "inf" or "nan"."""
        scores = [{"name": s.name, "psnr": plain(s.psnr), "ssim": plain(s.ssim)} for s in self.scores]
        means = {"psnr": plain(self.psnr), "ssim": plain(self.ssim)}
        return means | {"images": scores, "protocol": asdict(self.protocol), "scored_on": str(self.protocol)}

    @staticmethod
    def from_record(record: dict[str, Any]) -> "Quality":
        """Inverse of `to_record`. ValueError where an entry is missing or has the wrong form."""
        try:
            scores = [Score(str(s["name"]), float(s["psnr"]), float(s["ssim"])) for s in record["images"]]
            protocol = Protocol(**record["protocol"])
            size, background = tuple(protocol.size), tuple(protocol.background)
            return Quality(tuple(scores), replace(protocol, size=size, background=background))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"metrics record is damaged: {error}") from None


def mean(numbers: list[float]) -> float:
    """Arithmetic mean; ValueError for none."""
    if not numbers:
        raise ValueError("no pictures to take a mean over")
    return sum(numbers) / len(numbers)


def plain(number: float) -> float | str:
    """A number that JSON can hold, else its name; float() reads both."""
    return number if math.isfinite(number) else str(number)


def score(name: str, got: Tensor, want: Tensor, valid: Tensor | None = None) -> Score:
    """Both metrics of a picture (H, W, 3) with mask (H, W); see `psnr` and `ssim`."""
    small = min(want.shape[:2]) < WINDOW
    return Score(name, psnr(got, want, valid), math.nan if small else ssim(got, want, valid))


def psnr(got: Tensor, want: Tensor, valid: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB with peak 1 of pictures (H, W, 3) in [0, 1]; inf where they are equal.

    Pixels where `valid` (H, W) is False are left out; ValueError where none is left.
    """
    check(got, want, valid)
    error = (got.double() - want.double()).square()
    if valid is not None:
        error = error[valid]
    if error.numel() == 0:
        raise ValueError("no pixels to compare: all are masked")
    value = float(error.mean())
    return -10 * math.log10(value) if value > 0 else math.inf


def ssim(got: Tensor, want: Tensor, valid: Tensor | None = None) -> float:
    """Structural similarity of pictures (H, W, 3) in [0, 1] (Wang et al. 2004, eq. 13), mean over windows and RGB.

    Only windows that lie wholly in the picture count. Pixels where `valid` (H, W) is False are filled with the truth,
    so that they count as equal. ValueError for pictures smaller than the window of 11 pixels.
    """
    check(got, want, valid)
    if min(want.shape[:2]) < WINDOW:
        raise ValueError(f"SSIM wants pictures of at least {WINDOW} pixels, found {tuple(want.shape[:2])}")
    if valid is not None:
        got = torch.where(valid[..., None], got, want)
    x, y = got.permute(2, 0, 1).double(), want.permute(2, 0, 1).double()
    mx, my, xx, yy, xy = blurred(torch.stack([x, y, x * x, y * y, x * y]))
    c1, c2 = K1**2, K2**2
    top = (2 * mx * my + c1) * (2 * (xy - mx * my) + c2)
    bottom = (mx * mx + my * my + c1) * (xx - mx * mx + yy - my * my + c2)
    return float((top / bottom).mean())


def blurred(planes: Tensor) -> Tensor:
    """Gaussian window over planes (..., H, W): (..., H - 10, W - 10), along columns, then along rows."""
    x = torch.arange(WINDOW, dtype=planes.dtype, device=planes.device) - WINDOW // 2
    weight = torch.softmax(-x * x / (2 * SIGMA**2), 0)
    planes = sum_windows(planes, weight).transpose(-1, -2)
    return sum_windows(planes, weight).transpose(-1, -2)


def sum_windows(planes: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums over the last axis, of whole windows only."""
    count = planes.shape[-1] - len(weight) + 1
    total = weight[0] * planes[..., :count]
    for k in range(1, len(weight)):
        total += weight[k] * planes[..., k : k + count]
    return total


def check(got: Tensor, want: Tensor, valid: Tensor | None) -> None:
    """ValueError unless shapes agree."""
    if got.shape != want.shape or want.dim() != 3 or want.shape[-1] != 3:
        raise ValueError(f"wanted two pictures (H, W, 3), found {tuple(got.shape)} and {tuple(want.shape)}")
    if valid is not None and valid.shape != want.shape[:2]:
        raise ValueError(f"wanted a mask {tuple(want.shape[:2])}, found {tuple(valid.shape)}")
