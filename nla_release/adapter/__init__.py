"""LoRA adapters on disk: tensors, `adapter_config.json`, stacks of adapters and training logs.

It reads headers and tensors of safetensors files, without torch and without loading a base.
"""
