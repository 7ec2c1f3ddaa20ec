"""Training in a child process: TRL's SFTTrainer with a PEFT LoRA adapter."""
