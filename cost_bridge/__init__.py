"""What the analog road costs: energy, time and money per step, beside the digital computer."""
