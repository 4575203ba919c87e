"""``reports/retraining.html``: decisions, batches and drift in one page."""
