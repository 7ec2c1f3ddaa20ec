"""Pure training rules: recipes, schedules, spans, preflight."""
