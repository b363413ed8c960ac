"""Plans for sets that nobody tuned for: what a set is like, the settings that follow, and how long they take."""
