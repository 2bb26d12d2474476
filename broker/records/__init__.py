"""What travels: prompts, work, completions, calls, provider states, and the errors of all rooms."""
