"""Many retraining cycles with random batches and random kills: ``python -m benchmarks.soak``.

Outside CI; three cycles of it run in the slow tests. Every cycle is a process of the real command
``python -m flows.retrain --once`` in a small project of its own. At the end the soak's own account
of what it delivered (`benchmarks.soak.deliveries`) must agree with what lies in the project
(`benchmarks.soak.invariants`).
"""
