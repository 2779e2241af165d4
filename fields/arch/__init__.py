"""One architecture a file; the file name is its name."""
