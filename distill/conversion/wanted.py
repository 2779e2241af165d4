"""What a conversion is asked for: an architecture, and limits. Nothing heavy is imported: flags are made of it."""

import math
import re
from dataclasses import dataclass

AUTO = "auto"
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


@dataclass(frozen=True)
class Wanted:
    """What a person asked for."""

    to: str = AUTO  # architecture
    preset: str = AUTO
    max_bytes: int | None = None  # of the model file
    min_psnr: float | None = None  # dB, on held-out pictures
    max_frame_ms: float | None = None

    def __post_init__(self) -> None:
        limits = {"--max-bytes": self.max_bytes, "--min-psnr": self.min_psnr, "--max-frame-ms": self.max_frame_ms}
        for flag, value in limits.items():
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{flag} must be a number above 0, found {value:g}")

    def limits(self) -> dict[str, str]:
        """The flags that set a limit, each as it reads with its value."""
        given = {} if self.max_bytes is None else {"--max-bytes": f"--max-bytes {size(self.max_bytes)}"}
        given |= {} if self.min_psnr is None else {"--min-psnr": f"--min-psnr {self.min_psnr:g}"}
        return given | (
            {} if self.max_frame_ms is None else {"--max-frame-ms": f"--max-frame-ms {self.max_frame_ms:g}"}
        )


def parse_bytes(text: str) -> int:
    """Bytes from "600kB", "5MB", "1.5 MiB" or "500000". ValueError, naming --max-bytes, for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([kmg]i?)?b?\s*", text, re.IGNORECASE)
    value = float(match[1]) * UNITS[(match[2] or "").lower()] if match else 0.0
    if value < 1:
        raise ValueError(f"--max-bytes wants a size such as 600kB, 5MB, 1.5MiB or 500000, found {text!r}")
    return int(value)


def size(count: int) -> str:
    """Bytes for a person."""
    return f"{count / 1e6:.2f} MB" if count >= 10**6 else f"{count / 1e3:.0f} kB"
