//! Runs AAT conformance cases: `conformance [--steps] FILE.json…`. Prints each failing
//! case and last `N passed, M failed`; exit status 1 on any failure, 2 when a
//! file cannot be read.
#![allow(clippy::print_stdout, reason = "a command-line tool prints")]

use std::process::ExitCode;

mod cases;

fn main() -> ExitCode {
    let (options, files): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let verbose = options.iter().any(|o| o == "--steps");
    if files.is_empty() {
        println!("usage: conformance [--steps] FILE.json…");
        return ExitCode::from(2);
    }
    let (mut passed, mut failed) = (0u64, 0u64);
    for file in files {
        let results =
            std::fs::read(&file).map_err(|e| e.to_string()).and_then(|bytes| cases::run(&bytes));
        match results {
            Err(e) => {
                println!("{file}: {e}");
                return ExitCode::from(2);
            }
            Ok(results) => {
                for result in results {
                    if result.label_agrees == Some(false) && verbose {
                        println!("note {}: denied at another step than the suite's", result.id);
                    }
                    match result.failure {
                        None => passed += 1,
                        Some(why) => {
                            failed += 1;
                            println!("FAIL {}: {why}", result.id);
                        }
                    }
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}
