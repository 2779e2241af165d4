"""A field teaches a field: progressive volume distillation (Fang et al. 2023)."""
