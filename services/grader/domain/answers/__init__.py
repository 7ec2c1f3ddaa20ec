"""The deterministic answer grader (METHOD section 6a, 6c): it answers where it is sure, and abstains elsewhere.

How it reads a reply: words and clauses (`tokens`, `reading`); where the clauses name the gold answer C or the false
answer W (`forms`); whether each of these is asserted, rejected, reported or merely named (`mentions`); then one module
for each kind of question decides (`names`, `polarity`, `quantities`, `choices`, `propositions`), and `grade` puts the
decision into a verdict. Pure functions; word lists are data files (`lexicon`).
"""
