"""Fine-tunes causal language models with LoRA, with checkpoints, progress and resume."""
