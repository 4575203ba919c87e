"""MLflow: runs, the registered model and its aliases, the gate and the promotion."""
