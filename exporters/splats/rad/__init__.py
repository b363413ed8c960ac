"""The .rad format: Spark's tree of levels of detail."""
