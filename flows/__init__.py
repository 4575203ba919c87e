"""Thin Prefect flows, one per stage of dvc.yaml; no statistics and no training code here."""
