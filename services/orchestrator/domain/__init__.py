"""Pure evaluation rules: tasks, conditions, prompts, statistics, gate, plan."""
