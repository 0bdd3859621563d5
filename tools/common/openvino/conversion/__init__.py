"""What stands in for Model Optimizer: its classical arguments, done with today's OpenVINO."""
