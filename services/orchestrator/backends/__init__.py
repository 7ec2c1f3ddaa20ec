"""Backends: ledger, durable runs, service clients, files."""
