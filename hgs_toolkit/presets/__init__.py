"""Presets as YAML files; read them with hgs_toolkit.config.load_preset."""
