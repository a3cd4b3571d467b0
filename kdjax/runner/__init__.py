"""One run in its directory: trained, selected, resumed, checked, evaluated, cached."""
