"""Training: one loop over accelerate, feedback as tensors, checkpoints that are whole or absent."""
