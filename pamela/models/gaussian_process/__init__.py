"""`population`: what people agree on, a Gaussian process on features and metadata."""
