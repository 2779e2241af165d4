"""What only a GPU does for a training step."""
