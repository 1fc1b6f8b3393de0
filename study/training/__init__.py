"""The training of one model, which a killed process can go on with. All that needs TensorFlow itself lies here."""
