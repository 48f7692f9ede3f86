"""What scripts/gpu_check measures on one device: pixels, prompts, speed and start-up, a module each."""
