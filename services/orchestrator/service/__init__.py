"""Use cases of the orchestrator: what each RPC does, and the run itself."""
