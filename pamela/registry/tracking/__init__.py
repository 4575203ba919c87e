"""What MLflow shows: runs, their metrics, tables and pages, live and afterwards."""
