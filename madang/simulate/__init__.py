"""The sample city: a generated town, and the drivers that run the sectors' samples through the real protocols."""
