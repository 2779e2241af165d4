"""Photographs and poses."""
