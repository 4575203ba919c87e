"""What follows from steering: win shares, Elo, gains, fidelity, over-optimisation, convergence."""
