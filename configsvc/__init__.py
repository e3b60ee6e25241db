"""An app's desired state: config, formation, domains, releases."""
