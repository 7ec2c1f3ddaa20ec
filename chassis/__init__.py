"""What would be identical in every service: serving, errors, clients, settings, metrics, logs."""
