"""The same session in a browser."""
