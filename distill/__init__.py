"""All that learns: photographs teach a field, a field teaches a field."""

import fields  # noqa: F401  (sets how threads wait, before PyTorch is imported)
