"""Steering for one person with a loaded model: what `Reward.steer` and ``pamela steer`` do."""
