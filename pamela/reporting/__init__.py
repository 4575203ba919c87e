"""The report stage: the page, the model card, the terminal tables."""
