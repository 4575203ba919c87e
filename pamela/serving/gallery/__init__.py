"""A person and the catalog: what they have rated, what to rate next, what they like best."""
