sample_rate = 30000.
