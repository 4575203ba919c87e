"""Rows of the tables format: ratings and choices, from a file of any size to canonical rows."""
