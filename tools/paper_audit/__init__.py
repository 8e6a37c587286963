"""The paper's own figures: reading them, and checking that they follow from one another."""
