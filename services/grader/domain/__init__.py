"""Pure grading rules: SocioT, answers, judge reading, agreement."""
