"""All that learns: photographs teach a field, a field teaches a field."""
