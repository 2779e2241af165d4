"""What every run is, whoever teaches: begun, taken step by step, saved, resumed, shown, written as a model."""
