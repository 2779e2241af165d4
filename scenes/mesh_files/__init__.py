"""What mesh files hold: a reader for each kind, polygons made triangles, materials, textures, and a summary."""
