"""Lower bounds on orders with precedences: assignment, and a relaxation with cuts."""
