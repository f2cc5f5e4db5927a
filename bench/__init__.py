"""What is fast, and how we know: each command measures us and the others in one run."""
