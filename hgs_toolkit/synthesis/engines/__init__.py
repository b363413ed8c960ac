"""Worker pools: processes of this machine or actors of a Ray cluster, and the schedule they share."""
