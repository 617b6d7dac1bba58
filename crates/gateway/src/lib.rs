//! The data plane: the stages every action passes before it reaches a tool.
