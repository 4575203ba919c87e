"""Random effects over users: personal weights with a learned prior."""
