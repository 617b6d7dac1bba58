//! Prints `docs/mcp-methods.md`.
#![allow(clippy::print_stdout, reason = "printing is what this example is for")]

fn main() {
    print!("{}", bailiwick_policy::mcp_methods::document());
}
