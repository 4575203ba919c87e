"""The small language model shipped here, its weights, and how it is trained."""
