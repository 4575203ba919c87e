"""Ratings in shards: what is learned from all of them is the sum of what each shard says."""
