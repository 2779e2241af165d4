"""What features mean: `Readout` in each file, whose name is the head's in the header of a model file."""
