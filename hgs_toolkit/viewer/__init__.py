"""Looking at scenes in a browser: a live viewer (extra ``viewer``) and pages of one file that need nothing else."""
