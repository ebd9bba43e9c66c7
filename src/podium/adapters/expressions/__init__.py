"""Expression engines behind the expressions port."""
