"""THE definitions of metrics, intervals, gaps and shares, on arrays and tables."""
