"""The paper's experiment: its published figures, its runs, and the report."""
