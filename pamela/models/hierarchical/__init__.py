"""`hierarchical`: taste weights per person with a learned prior."""
