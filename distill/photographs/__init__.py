"""Photographs teach a field."""
