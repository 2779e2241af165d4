"""Readers: one data set format a file; the file name is its name."""
