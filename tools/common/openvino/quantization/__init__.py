"""What stands in for the Post-Training Optimization Toolkit: its configuration, done with NNCF."""
