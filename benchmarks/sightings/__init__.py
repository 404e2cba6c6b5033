"""Walk-ins with exact truth: who they are, when they come, how they are drawn, and how what was found is judged."""
