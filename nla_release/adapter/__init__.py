"""LoRA adapters without torch: their configuration, tensors and names."""
