"""Presets as YAML files; read them with hgs_toolkit.settings_io.load_preset."""
