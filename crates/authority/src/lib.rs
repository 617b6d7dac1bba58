//! The control plane: rules that turn requests into plans, over the store.
