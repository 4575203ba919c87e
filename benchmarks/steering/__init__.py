"""The full steering study."""
