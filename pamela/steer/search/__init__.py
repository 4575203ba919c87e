"""The steering loop."""
