"""The `pamela` command."""
