"""The agent's side of a call: prompts, turns and tools."""
