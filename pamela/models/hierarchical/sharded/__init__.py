"""What `hierarchical` learns from everybody, a shard of the ratings at a time."""
