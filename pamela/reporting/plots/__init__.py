"""The figures, one module per page they stand on."""
