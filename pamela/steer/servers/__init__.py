"""Servers that speak the OpenAI protocol: addresses, retries, what is told of faults."""
