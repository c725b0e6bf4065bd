"""Short programs that run on the pocket world and show something."""
