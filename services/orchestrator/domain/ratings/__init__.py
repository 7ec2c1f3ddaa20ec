"""Human judgement: which reply of a pair is warmer, and which answer is right; drawn, blinded, and read back."""
