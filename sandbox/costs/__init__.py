"""What may be spent, and what that comes to: budgets, and the reservations that keep them under any concurrency."""
