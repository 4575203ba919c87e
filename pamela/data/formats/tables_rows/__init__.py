"""Rows of the tables format as canonical ones: ratings and choices of any number, and users."""
