"""What runs cost, in time, energy and emissions: one model, and what makes and shows it."""
