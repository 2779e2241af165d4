"""The window. May import every other folder; nothing imports it."""
