"""From an analog sum to a digital number, one readout a file."""
