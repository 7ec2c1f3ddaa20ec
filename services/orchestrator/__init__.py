"""Plan, run, resume, analyse, gate and report evaluations. Only the orchestrator calls other services."""
