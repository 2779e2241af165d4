"""Where the scene is: its box, its visual hull, and the cells that may hold something."""
