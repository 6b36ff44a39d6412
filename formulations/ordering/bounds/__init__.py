"""Lower bounds on orders with precedences: assignment, arborescence, and a relaxation with cuts."""
