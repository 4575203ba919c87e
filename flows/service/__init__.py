"""Retraining that nobody has to watch: what is due, and what Prefect's page says of it."""
