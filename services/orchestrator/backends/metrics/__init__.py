"""What the ledger says, as Prometheus metrics."""
