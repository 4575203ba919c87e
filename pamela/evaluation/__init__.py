"""The evaluate stage: predictions on test rows and every number made of them."""
