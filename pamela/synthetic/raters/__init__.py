"""The simulated raters: taste, noise, and who rates what."""
