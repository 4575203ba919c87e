"""The train stage: fits every model on every fold and writes the bundle."""
