"""The paper's theory as experiments: kernel fits, Theorem 1, Rademacher."""
