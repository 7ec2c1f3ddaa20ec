"""Analysis profile `ibrahim2026`: the study's own statistics (METHOD section 7). Entry point: `profile.study`."""
