"""Commands about batches of new ratings, and about which model serves."""
