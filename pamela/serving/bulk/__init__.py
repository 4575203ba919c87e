"""Scoring tables of millions of pairs: in parts, each read, scored and written by itself."""
