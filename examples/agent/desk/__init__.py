"""A desk that answers letters: the steps, the tool and the rules beside the agent."""
