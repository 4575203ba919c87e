"""Where work in pieces runs: in this process, or on the workers of a Dask or Ray cluster."""
