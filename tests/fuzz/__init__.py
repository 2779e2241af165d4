"""Hostile inputs of every reader, made from good ones by a seeded generator: `python -m tests.fuzz --count N`."""
