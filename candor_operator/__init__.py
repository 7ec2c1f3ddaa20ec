"""The operator of the `Evaluation` custom resource: a client of the orchestrator that speaks to the Kubernetes API."""
