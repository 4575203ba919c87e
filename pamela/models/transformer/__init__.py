"""`paper`: the transformer after the paper, trained by Lightning."""
