"""Programs to begin with: each runs with one command, and is tested."""
