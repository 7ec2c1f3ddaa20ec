"""The gate: rules over paired contrasts, stopping, verdict, plan."""
