"""Scenes that our own code draws: the built-in still life, and triangle meshes."""
