"""Datasets on their way in: formats, imports, and the canonical tables of the ingest stage."""
