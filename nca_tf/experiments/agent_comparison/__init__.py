"""bin/compare_agents: learning algorithms and evolution by equal steps."""
