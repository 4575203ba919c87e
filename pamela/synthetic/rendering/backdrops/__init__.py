"""Settings that subjects stand in."""
