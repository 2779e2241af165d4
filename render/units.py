"""Units and limits that flags speak of. Nothing heavy is imported: flags are made of them."""

UNIT_STEP = 3**0.5 / 1024  # scene units; the unit cube's diagonal in 1024 parts
MOST_FRAMES = 100_000
MOST_PIXELS = 16_384  # along a side
RATES = (0.1, 240.0)  # frames per second of what we write; files of others may say 0.01 to 1000
FORMATS = (".png", ".gif", ".mp4", ".npy")
