-- What one agent handed to another, the newest first.
CREATE INDEX handoffs_agents ON handoffs (org, from_agent, to_agent, offered);
