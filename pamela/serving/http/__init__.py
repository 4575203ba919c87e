"""The champion over HTTP: ``pamela serve``."""
