"""What a run tells people: a page that stands alone, its charts, and loggers of other programs."""
