"""`pamela import`: a dataset is checked, unpacked once and placed under ``data/raw/``."""
