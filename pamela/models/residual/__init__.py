"""`residual_ridge` and `mf`: a person as a deviation from `population`."""
