"""What AV and AR promise: sidecar, prompt, injection, explanation."""
