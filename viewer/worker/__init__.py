"""The process that owns all fields, draws and learns."""
