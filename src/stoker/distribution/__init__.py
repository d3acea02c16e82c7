"""Models on the move: pull, push, package."""
