"""Rays in, pixels out."""
