"""The small CLIP model shipped here, its weights, and how it is trained."""
